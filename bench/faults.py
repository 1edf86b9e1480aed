"""What does each fault cost: what do the diagnostics say, how soon, what is lost, when is all well again?

Each fault is really made against the real node, over DDS, in processes of their own; see docs/faults.md.

    python bench/faults.py --cycles 50 --sigints 100 --json faults.json --markdown faults.md
    python bench/faults.py --only camera,overload
    python bench/faults.py --list

Prints a table. The exit code is 1 where a fault was not told within a second, or did not end as it should.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import faults_end as end
import faults_files as files
import faults_live as live
from faults_drive import CAMERAS, Drive
from faults_stage import LIMIT_S, Ear, Seen, Stage, network

from clip2scene_ros.nodes.process import COLLECT, SEGMENT, RunningNode, ros_arguments, start_node
from clip2scene_ros.nodes.transport import use_profile
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT

NAMESPACE = f"faults_{os.getpid()}"
NAMES = {"segment_node": "clip2scene_segment", "collect_node": "clip2scene_collect"}
SPAN_S = {"segment_node": 5.0, "collect_node": 15.0}


Play = Callable[[Stage, argparse.Namespace, Path], Iterator[Seen]]


@dataclass(frozen=True)
class Scene:
    """Faults that share a running node.

    Attributes:
        name: of the scene.
        node: which node.
        parameters: of it.
        plays: faults by name.
        active: whether the node starts by itself.
    """

    name: str
    node: str
    parameters: dict[str, object]
    plays: dict[str, Play]
    active: bool = True

    def wanted(self, words: list[str]) -> list[str]:
        """Return the plays whose names, SCENE-PLAY, have one of these words; all where there are no words."""
        return [name for name in self.plays if not words or any(word in f"{self.name}-{name}" for word in words)]


SEGMENT_COUNTERS = {"back": "time_jumps", "ahead": "time_jumps", "zero": "zero_stamps", "twice": "duplicate_stamp"}
COLLECT_COUNTERS = {"back": "time_jumps", "ahead": "jumped_ahead", "zero": "zero_stamp", "twice": "duplicate_stamp"}


def some_cycles(stage: Stage, args: argparse.Namespace, folder: Path) -> Iterator[Seen]:
    """Deactivate and activate."""
    yield end.cycles(stage, args.cycles)


def checkpoints(stage: Stage, args: argparse.Namespace, folder: Path) -> Iterator[Seen]:
    """Checkpoints are wrong."""
    yield from files.checkpoints(stage, folder / "student.safetensors", DEMO_CHECKPOINT.read_bytes())


def disks(stage: Stage, args: argparse.Namespace, folder: Path) -> Iterator[Seen]:
    """The disk is full, or fails."""
    if os.path.ismount(folder / "disk"):
        yield files.full_disk(stage, folder / "disk")
    yield from files.failing_disk(stage, folder / "fail")


def read_only(stage: Stage, args: argparse.Namespace, folder: Path) -> Iterator[Seen]:
    """The folder is on a disk that cannot be written."""
    if os.path.ismount(folder / "disk"):
        yield files.read_only_folder(stage, folder / "disk")


SEGMENT_BASE: dict[str, object] = {"segmenter.threads": 1, "labels.reliability": "best_effort"}
COLLECT_BASE: dict[str, object] = {
    "cameras": ", ".join(CAMERAS),
    "calibration.file": "FOLDER/rig.yaml",
    "folder": "FOLDER/disk/shards",
    "classes": "world",
    "clip.checkpoint": "tiny",
    "dense": "short_side_px: 64",
    "choice.min_interval_s": 0.3,
    "shards.min_free_gb": 0.0,
    "worker.nice": 0,
}
LATER: dict[str, object] = {"autostart": False}
SCENES = (
    Scene(
        "segment",
        "segment_node",
        SEGMENT_BASE,
        {
            "stamps": lambda stage, args, folder: live.stamps(stage, SEGMENT_COUNTERS),
            "qos": lambda stage, args, folder: iter([live.a_listener_that_asks_too_much(stage)]),
            "overload": lambda stage, args, folder: iter([live.overload(stage, args.overload)]),
            "loss": lambda stage, args, folder: iter([live.a_fifth_is_lost(stage, folder, "lost_before_arrival")]),
            "cycles": some_cycles,
        },
    ),
    Scene(
        "segment-files",
        "segment_node",
        {**SEGMENT_BASE, **LATER, "segmenter.checkpoint": "FOLDER/student.safetensors"},
        {"checkpoints": checkpoints},
        active=False,
    ),
    Scene(
        "collect",
        "collect_node",
        COLLECT_BASE,
        {
            "camera": lambda stage, args, folder: iter([live.camera_dies(stage)]),
            "stamps": lambda stage, args, folder: live.stamps(stage, COLLECT_COUNTERS),
            "images": lambda stage, args, folder: live.images(stage),
            "loss": lambda stage, args, folder: iter([live.a_fifth_is_lost(stage, folder, ".lost")]),
            "disks": disks,
            "cycles": some_cycles,
        },
    ),
    Scene(
        "collect-reliable",
        "collect_node",
        {**COLLECT_BASE, "points.reliability": "reliable"},
        {"qos": lambda stage, args, folder: iter([live.a_lidar_that_cannot_be_heard(stage)])},
    ),
    Scene(
        "collect-files",
        "collect_node",
        {**COLLECT_BASE, **LATER},
        {
            "calibration": lambda stage, args, folder: files.calibrations(stage, folder / "rig.yaml"),
            "read-only": read_only,
        },
        active=False,
    ),
)
SIGINTS = {"segment-sigints": "segment", "collect-sigints": "collect"}


def parameters_of(scene: Scene, folder: Path) -> dict[str, object]:
    """Return a scene's parameters, its folder filled in."""
    return {
        name: value.replace("FOLDER", str(folder)) if isinstance(value, str) else value
        for name, value in scene.parameters.items()
    }


def run_scene(scene: Scene, plays: list[str], args: argparse.Namespace, folder: Path) -> Iterator[Seen]:
    """Start a scene's node, make its faults, end the node; what it collected must be whole."""
    files.write_rig(folder / "rig.yaml")
    site = folder / "site"  # goes to the teacher's process as well
    site.mkdir()
    (site / "sitecustomize.py").write_text(files.FAILING.replace("FLAG", repr(str(folder / "fail"))))
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), environment.get("PYTHONPATH")]))
    module = SEGMENT if scene.node == "segment_node" else COLLECT
    log = args.logs / f"{scene.name}.log" if args.logs else folder / "node.log"
    started = start_node(
        parameters_of(scene, folder), namespace=NAMESPACE, log_file=log, environment=environment, module=module
    )
    with files.small_disk(folder / "disk"), network("faults", NAMESPACE) as node, started as running:
        ear, drive = Ear(node, NAMES[scene.node]), Drive(node)
        if scene.node == "segment_node":
            drive.alive.clear()
        stage = Stage(scene.node, running, ear, drive, args.hold)
        if scene.active:
            stage.well()
        try:
            for play in plays:
                yield from scene.plays[play](stage, args, folder)
        finally:
            drive.stop()
        code = running.stop()
        ends = end.Ends(codes=[code])
        end.check_shards(folder / "disk" / "shards", ends)
        if code or ends.wrong or "Traceback" in log.read_text():
            yield Seen("the end", scene.node, f"SIGINT after {scene.name}", said=f"{code} {ends.wrong}", held=False)


def run_sigints(name: str, args: argparse.Namespace, folder: Path) -> Iterator[Seen]:
    """End a node at random moments, while a vehicle drives."""
    scene = next(s for s in SCENES if s.name == SIGINTS[name])
    files.write_rig(folder / "rig.yaml")
    numbers = iter(range(10**6))

    def start(shards: Path) -> RunningNode:
        given = parameters_of(scene, folder)
        given |= {"folder": str(shards)} if scene.node == "collect_node" else {}
        module = SEGMENT if scene.node == "segment_node" else COLLECT
        command = [sys.executable, "-m", module, *ros_arguments(given, {}, NAMESPACE)]
        log = folder / f"node{next(numbers)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        return RunningNode(process, log)

    with network("faults", NAMESPACE) as node:
        Ear(node, NAMES[scene.node])
        drive = Drive(node)
        few = args.sigints // 4  # of the node that takes longer to start
        count = few if name.startswith("collect") else args.sigints - few
        try:
            yield end.sigints(scene.node, start, count, folder, seed=args.seed, span_s=SPAN_S[scene.node])
        finally:
            drive.stop()


def measure(args: argparse.Namespace) -> Iterator[Seen]:
    """Make all faults that are asked for."""
    words = [word for word in args.only.split(",") if word]
    for scene in SCENES:
        if plays := scene.wanted(words):
            with tempfile.TemporaryDirectory(prefix="clip2scene-faults-") as folder:
                yield from run_scene(scene, plays, args, Path(folder))
    for name in SIGINTS:
        if not words or any(word in name for word in words):
            with tempfile.TemporaryDirectory(prefix="clip2scene-faults-") as folder:
                yield from run_sigints(name, args, Path(folder))


def markdown(rows: list[Seen]) -> str:
    """Return the table."""
    lines = [
        "| fault | node | made by | told after | the report says | lost | well after |",
        "|---|---|---|---|---|---|---|",
    ]
    for seen in rows:
        told, back = (("-" if s is None else f"{s:.2f} s") for s in (seen.told_s, seen.recovered_s))
        said = f"{seen.level}: {seen.said}" if seen.level else seen.said or "-"
        said = said.replace(f"/{NAMESPACE}", "").replace("|", "\\|")
        fault = seen.fault if seen.held else f"**{seen.fault}: DID NOT HOLD**"
        fault += f" ({seen.late})" if seen.late else ""
        lines.append(f"| {fault} | {seen.node} | {seen.how} | {told} | {said} | {seen.lost} | {back} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="NAME,...", help="faults whose names have one of these words")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--cycles", type=int, default=50, help="of deactivation and activation, of each node")
    parser.add_argument("--sigints", type=int, default=100, help="of both nodes together, a quarter of collect_node")
    parser.add_argument("--overload", type=int, default=200, help="clouds that come too fast")
    parser.add_argument("--hold", type=float, default=1.0, help="keep faults up so many times as long")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of SIGINTs")
    parser.add_argument("--logs", type=Path, help="keep the nodes' logs in this folder")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    args = parser.parse_args()
    if args.list:
        print("\n".join([f"{scene.name}-{play}" for scene in SCENES for play in scene.plays] + list(SIGINTS)))
        return 0
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    use_profile()
    rows, began_s = [], time.monotonic()
    for seen in measure(args):
        rows.append(seen)
        told = "-" if seen.told_s is None else f"{seen.told_s:.2f} s"
        verdict = "BAD " if not seen.held else "late" if seen.late else "ok  "
        print(f"{verdict} {seen.node:<12} {seen.fault:<32} told {told:>7}: {seen.said[:150]}")
        print(f"    lost: {seen.lost}; well after {seen.recovered_s and round(seen.recovered_s, 2)} s", flush=True)
    held, in_time = sum(seen.held for seen in rows), all(not seen.late for seen in rows)
    told = [seen.told_s for seen in rows if seen.told_s is not None]
    print(f"{held} of {len(rows)} held; told after at most {max(told, default=0.0):.2f} s (limit {LIMIT_S:g} s)")
    result = {
        "rows": [seen.row() for seen in rows],
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "took_s": time.monotonic() - began_s,
    }
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if args.markdown:
        args.markdown.write_text(markdown(rows), encoding="utf-8")
    return 0 if held == len(rows) and in_time else 1


if __name__ == "__main__":
    sys.exit(main())
