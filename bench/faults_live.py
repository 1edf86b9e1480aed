"""Faults of what comes in, for bench/faults.py: cameras, losses, stamps, quality of service, images, overload."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from builtin_interfaces.msg import Time
from clouds import lidar_scan
from faults_drive import CAMERA, CAMERAS, cloud_of, picture
from faults_stage import Report, Seen, Stage, is_well, says, wait
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2

LOSS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
/* Every fifth large datagram gets lost, at random, while a file is there; when is written beside it. */
static int lost(size_t bytes) {
    const char *flag = getenv("FAULTS_LOSS");
    if (bytes < 4000 || !flag || access(flag, F_OK) || rand() % 5) return 0;
    char name[4096];
    snprintf(name, sizeof name, "%s.log", flag);
    FILE *log = fopen(name, "a");
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (log) { fprintf(log, "%ld.%09ld\\n", (long)now.tv_sec, now.tv_nsec); fclose(log); }
    return 1;
}
ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
    static ssize_t (*real)(int, const struct msghdr *, int);
    if (!real) real = dlsym(RTLD_NEXT, "sendmsg");
    size_t bytes = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++) bytes += m->msg_iov[i].iov_len;
    return lost(bytes) ? (ssize_t)bytes : real(fd, m, flags);
}
ssize_t sendto(int fd, const void *b, size_t n, int flags, const struct sockaddr *to, socklen_t len) {
    static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    if (!real) real = dlsym(RTLD_NEXT, "sendto");
    return lost(n) ? (ssize_t)n : real(fd, b, n, flags, to, len);
}
"""
"""Goes between a driver's process and its network (LD_PRELOAD)."""

OVERLOAD_POINTS = 34_720
STEP_NS = 100_000_000
PERIODS = 2.0
"""Latency is at most so many times what a cloud takes."""


def camera_dies(stage: Stage) -> Seen:
    """One of the cameras says nothing more, and comes back."""
    camera = CAMERAS[1]
    return stage.meet(
        "camera dies and returns",
        f"{camera} stops sending",
        lambda: stage.drive.alive.discard(camera),
        says(camera),
        lambda: stage.drive.alive.add(camera),
    )


@contextlib.contextmanager
def lossy_driver(stage: Stage, folder: Path) -> Iterator[Path]:
    """Let a process of its own drive, over UDP; yield the file that makes it lose packets while it is there."""
    source, library, flag = folder / "loss.c", folder / "loss.so", folder / "loss"
    source.write_text(LOSS)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FASTDDS_", "FASTRTPS_"))}
    environment |= {"LD_PRELOAD": str(library), "FAULTS_LOSS": str(flag), "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SUBNET"  # LOCALHOST brings shared memory back
    stage.drive.scans, alive = False, set(stage.drive.alive)
    stage.drive.alive.clear()
    command = [sys.executable, str(Path(__file__).with_name("faults_drive.py")), stage.ear.node.get_namespace()]
    driver = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    try:
        stage.ear.report(lambda report: report.level > 0 and "no scan" in report.message, time.monotonic())
        yield flag
    finally:
        flag.unlink(missing_ok=True)
        driver.communicate(timeout=20.0)
        stage.drive.scans = True
        stage.drive.alive |= alive


def a_fifth_is_lost(stage: Stage, folder: Path, counter: str) -> Seen:
    """Every fifth message of a best-effort driver gets lost on the way."""
    how = "every fifth UDP datagram of 4 kB or more is lost at random"
    if shutil.which("cc") is None:
        return Seen("20 % random loss", stage.name, f"{how}: not run, no C compiler")
    with lossy_driver(stage, folder) as flag:
        log = Path(f"{flag}.log")

        def begin() -> float:
            flag.touch()
            wait(lambda: log.exists() and log.read_text().endswith("\n"), "the first packet is lost")
            return float(log.read_text().split()[0])

        seen = stage.meet("20 % random loss", how, begin, says(counter), flag.unlink, lasts_s=5.0)
        seen.lost += f" ({len(log.read_text().split())} datagrams were lost)"
        return seen


def stamps(stage: Stage, counters: dict[str, str]) -> Iterator[Seen]:
    """Stamps that jump, are zero, or come twice.

    Args:
        stage: where.
        counters: what names `back`, `ahead`, `zero` and `twice` in the node's report.
    """
    drive = stage.drive

    def jumps(fault: str, seconds: float, counter: str) -> Seen:
        how = f"all stamps {'go back' if seconds < 0 else 'go ahead'} by {abs(seconds):g} s, for good"
        return stage.meet(fault, how, lambda: drive.jump(seconds), says(counter), lasts_s=0.0)

    yield jumps("bag loop", -3.0, counters["back"])
    yield jumps("stamps back 20 s", -20.0, counters["back"])
    yield jumps("stamps ahead 1 h", 3600.0, counters["ahead"])
    yield stage.meet(
        "zero stamps",
        "scans have no stamp",
        lambda: setattr(drive, "stamped", False),
        says(counters["zero"]),
        lambda: setattr(drive, "stamped", True),
    )
    yield stage.meet(
        "duplicate stamps",
        "every scan is sent twice",
        lambda: setattr(drive, "copies", 2),
        says(counters["twice"]),
        lambda: setattr(drive, "copies", 1),
    )


def a_lidar_that_cannot_be_heard(stage: Stage) -> Seen:
    """A best-effort driver joins where the node asks for reliable clouds."""
    node = stage.ear.node
    made = []

    def join() -> None:
        best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        made.append(node.create_publisher(PointCloud2, "points", best_effort))

    def leave() -> None:
        node.destroy_publisher(made[0])

    how = "a best-effort publisher joins where `points.reliability: reliable` is asked for"
    return stage.meet("QoS mismatch", how, join, says(node.get_name(), "/points", "best effort"), leave)


def a_listener_that_asks_too_much(stage: Stage) -> Seen:
    """A reliable subscriber joins where labels are best effort."""
    node = stage.ear.node
    made = []

    def join() -> None:
        made.append(node.create_subscription(PointCloud2, "clip2scene_segment/labels", lambda m: None, 5))

    def leave() -> None:
        node.destroy_subscription(made[0])

    how = "a reliable subscriber joins where `labels.reliability: best_effort` is offered"
    return stage.meet("QoS mismatch", how, join, says(node.get_name(), "/labels", "best effort"), leave)


def images(stage: Stage) -> Iterator[Seen]:
    """Images that end too early, or have another size than the calibration says."""
    camera, drive = CAMERAS[1], stage.drive
    good = drive.pictures[camera]

    def shows(data: bytes) -> Callable[[], None]:
        return lambda: drive.pictures.update({camera: data})

    for fault, how, data in (
        ("truncated JPEG", f"{camera} sends the first half of its JPEGs", good[: len(good) // 2]),
        ("changed image size", f"{camera} sends 80 x 45 pixels", picture(CAMERA.width // 2, CAMERA.height // 2)),
    ):
        yield stage.meet(fault, how, shows(data), says(f"images_bad.{camera}"), shows(good))


def overload(stage: Stage, scans: int, points: int = OVERLOAD_POINTS) -> Seen:
    """Clouds come three times as fast as they can be labelled."""
    stage.drive.scans = False
    node, labels = stage.ear.node, stage.ear.labels
    publisher = node.create_publisher(PointCloud2, "points", QoSProfile(depth=10))
    clouds = [cloud_of(*lidar_scan(points, 32, seed)) for seed in range(4)]
    first_ns = stage.drive.stamp_ns + 10 * 10**9
    sent: dict[int, int] = {}

    def send(i: int) -> int:
        stamp_ns, cloud = first_ns + i * STEP_NS, clouds[i % len(clouds)]
        cloud.header.stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        sent[stamp_ns] = time.monotonic_ns()
        publisher.publish(cloud)
        return stamp_ns

    def labelled(stamp_ns: int) -> bool:
        return any(stamp == stamp_ns for stamp, _ in labels)

    try:
        wait(lambda: publisher.get_subscription_count() > 0, "the node hears the clouds")
        took_ms = []
        for i in range(12):  # one after the other: what the node can do
            stamp_ns = send(i)
            wait(lambda stamp_ns=stamp_ns: labelled(stamp_ns), "its labels", 20.0)
            took_ms.append((labels[-1][1] - sent[stamp_ns]) / 1e6)
        period_s = float(np.median(took_ms[2:])) / 1e3
        time.sleep(1.2)  # the jump to these stamps has been told
        labels.clear()
        before = stage.ear.reports[-1].values
        began_s = time.monotonic()
        for i in range(scans):
            time.sleep(max(0.0, began_s + i * period_s / 3 - time.monotonic()))
            last_ns = send(100 + i)
        overtaken_s = sent[first_ns + 102 * STEP_NS] / 1e9  # by the third cloud, the first being at work
        told = stage.ear.report(says("dropped.superseded"), overtaken_s)
        ended_s = time.monotonic()
        wait(lambda: labelled(last_ns), "the newest scan is labelled", 20.0)
    finally:
        node.destroy_publisher(publisher)
        stage.drive.jump(3600.0)
        stage.drive.scans = True
    back = stage.ear.report(is_well, ended_s)
    return _account(stage.name, period_s, before, told, overtaken_s, back, ended_s, sent, labels, scans)


def _account(
    node: str,
    period_s: float,
    before: dict[str, str],
    told: Report | None,
    overtaken_s: float,
    back: Report | None,
    ended_s: float,
    sent: dict[int, int],
    labels: list[tuple[int, int]],
    scans: int,
) -> Seen:
    """Return what an overload showed: newest wins, latency in periods, every scan labelled or counted."""
    seen = Seen("overload three times", node, f"{scans} clouds every {1e3 * period_s / 3:.0f} ms, ", held=False)
    seen.how += f"of which each takes {1e3 * period_s:.0f} ms"
    if told is None or back is None:
        return seen
    seen.tell(overtaken_s, told)
    seen.recovered_s = back.at_s - ended_s
    superseded = int(back.values["dropped.superseded"]) - int(before.get("dropped.superseded", 0))
    lost = int(back.values["lost_before_arrival"]) - int(before["lost_before_arrival"])
    came = [stamp for stamp, _ in labels if stamp in sent]
    at_work_s = float(np.median(np.diff([at for stamp, at in labels if stamp in sent]))) / 1e9
    latency = np.array([(at - sent[stamp]) / 1e9 for stamp, at in labels if stamp in sent]) / at_work_s
    seen.lost = (
        f"{superseded} of {scans} superseded, {len(came)} labelled, {lost} lost; the newest is labelled; latency p50 "
        f"{np.percentile(latency, 50):.2f}, p95 {np.percentile(latency, 95):.2f}, max {latency.max():.2f} periods of "
        f"{1e3 * at_work_s:.0f} ms"
    )
    in_order = came == sorted(set(came))
    counted = superseded + len(came) + lost == scans
    seen.held = in_order and counted and float(np.percentile(latency, 50)) <= PERIODS
    if float(np.percentile(latency, 95)) > PERIODS:
        seen.late = "latency"
    return seen
