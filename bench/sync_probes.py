"""What goes wrong in a synchroniser: one probe a defect, for any of them; each answers whether it is there.

Used by `sync.py` and by the tests. A probe gets `make(streams, queue_size, slop_ms)`, which returns the filters that
feed a synchroniser, the LiDAR's first, and the synchroniser. Only where a thread may block is a clock waited for.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from builtin_interfaces.msg import Time

from clip2scene_ros.config import SyncConfig
from clip2scene_ros.nodes.sync_filter import ScanSynchronizer
from clip2scene_ros.nodes.sync_inputs import SimpleFilter

MS = 1_000_000
Make = Callable[..., tuple[list[SimpleFilter], Any]]


def message(stamp_ns: int) -> SimpleNamespace:
    """Return something with a header; the stamp is a real one."""
    sec, nanosec = divmod(stamp_ns, 10**9)
    return SimpleNamespace(header=SimpleNamespace(stamp=Time(sec=sec, nanosec=nanosec)), stamp_ns=stamp_ns)


def ours(streams: int, queue_size: int, slop_ms: float, offset_ms: float = 0.0) -> tuple[list[SimpleFilter], Any]:
    """Make our synchroniser; no time passes. `offset_ms` is the first camera's."""
    filters, names = [SimpleFilter() for _ in range(streams)], [f"camera_{i}" for i in range(1, streams)]
    sizes = {"queue_size": queue_size, "view_queue_size": queue_size}
    config = SyncConfig(**sizes, slop_ms=slop_ms, offsets_ms=f"camera_1: {offset_ms}")
    return filters, ScanSynchronizer(filters, names, config, now_ns=lambda: 0)


def theirs(streams: int, queue_size: int, slop_ms: float, offset_ms: float = 0.0) -> tuple[list[SimpleFilter], Any]:
    """Make message_filters' ApproximateTimeSynchronizer; TypeError where it has no offsets and one is asked for."""
    import message_filters

    filters = [SimpleFilter() for _ in range(streams)]
    offsets = {"queue_offset": [0, round(offset_ms * MS)] + [0] * (streams - 2)} if offset_ms else {}
    return filters, message_filters.ApproximateTimeSynchronizer(filters, queue_size, slop_ms / 1000, **offsets)


def version(module: ModuleType) -> str:
    """Return the version of an installed ROS package, or `an unknown version`."""
    try:
        return importlib.metadata.version(module.__name__)
    except importlib.metadata.PackageNotFoundError:
        folders = Path(str(module.__file__)).resolve().parents
    for folder in folders:
        for manifest in (folder / "share" / module.__name__ / "package.xml", folder / "package.xml"):
            if manifest.is_file() and (found := re.search(r"<version>(.+?)</version>", manifest.read_text())):
                return found[1]
    return "an unknown version"


def ends_in_time(work: Callable[[], None], timeout_s: float = 1.0) -> bool:
    """Return whether `work` ends; a thread that blocks for ever is left behind."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return not thread.is_alive()


def blocked_after_an_exception(make: Make) -> bool:
    """A callback raises; the next message must get through."""
    (lidar, camera), sync = make(2, 10, 50.0)

    def raises(*args: object) -> None:
        raise RuntimeError("on purpose")

    sync.registerCallback(raises)
    try:
        camera.signalMessage(message(1000 * MS))
        lidar.signalMessage(message(1000 * MS))
    except RuntimeError:
        pass
    return not ends_in_time(lambda: lidar.signalMessage(message(1100 * MS)))


def dead_after_a_loop(make: Make) -> bool:
    """A bag loops whose camera outlived its LiDAR by a second; 50 good pairs must make sets."""
    (lidar, camera), sync = make(2, 10, 50.0)
    got: list[object] = []
    sync.registerCallback(lambda *args: got.append(args))
    for i in range(60):
        camera.signalMessage(message((1000 + i) * 100 * MS))
        if i < 50:
            lidar.signalMessage(message((1000 + i) * 100 * MS))
    got.clear()
    for i in range(50):
        camera.signalMessage(message((500 + i) * 100 * MS))
        lidar.signalMessage(message((500 + i) * 100 * MS))
    return not got


def deaf_to_an_offset(make: Make) -> bool | None:
    """A camera exposes 100 ms after the LiDAR, and its view comes last: 50 pairs must make sets; None: no offsets."""
    try:
        (lidar, camera), sync = make(2, 10, 50.0, 100.0)
    except TypeError:
        return None
    got: list[object] = []
    sync.registerCallback(lambda *args: got.append(args))
    for i in range(50):
        lidar.signalMessage(message((1000 + i) * 1000 * MS))
        camera.signalMessage(message(((1000 + i) * 1000 + 100) * MS))
    return not got


def silent_with_a_dead_camera(make: Make) -> bool:
    """One camera of two never speaks; the other's views must still come."""
    (lidar, camera, _), sync = make(3, 10, 50.0)
    got: list[object] = []
    sync.registerCallback(lambda *args: got.append(args))
    for i in range(100):
        camera.signalMessage(message((1000 + i) * 100 * MS))
        lidar.signalMessage(message((1000 + i) * 100 * MS))
    return not got


def loses_sets_with_views(make: Make) -> bool:
    """One camera of two loses every fifth view; as many sets as scans must come."""
    (lidar, camera, lossy), sync = make(3, 10, 50.0)
    got: list[object] = []
    sync.registerCallback(lambda *args: got.append(args))
    for i in range(100):
        camera.signalMessage(message((1000 + i) * 100 * MS))
        if i % 5:
            lossy.signalMessage(message((1000 + i) * 100 * MS))
        lidar.signalMessage(message((1000 + i) * 100 * MS))
    return len(got) < 99  # the last one may wait for its view


def takes_the_first_and_not_the_nearest(make: Make) -> bool:
    """A view 40 ms before the scan is there, one of its very stamp comes a moment later."""
    (lidar, camera), sync = make(2, 10, 50.0)
    got: list[tuple[Any, ...]] = []
    sync.registerCallback(lambda *args: got.append(args))
    camera.signalMessage(message(960 * MS))
    lidar.signalMessage(message(1000 * MS))
    camera.signalMessage(message(1000 * MS))
    return got[0][1].stamp_ns != 1000 * MS


def blocks_others_during_a_callback(make: Make) -> bool:
    """While a callback runs another thread must be able to give a message."""
    (lidar, camera), sync = make(2, 10, 50.0)
    free: list[bool] = []

    def callback(*args: object) -> None:
        if not free:
            free.append(False)
            free[0] = ends_in_time(lambda: camera.signalMessage(message(5000 * MS)))

    sync.registerCallback(callback)
    camera.signalMessage(message(1000 * MS))
    lidar.signalMessage(message(1000 * MS))
    return not free[0]


def steps_of_a_hard_message(make: Make, queue_size: int) -> int:
    """Return the lines of Python that run for one scan to which full queues of views are near and none completes it."""
    filters, _ = make(6, queue_size, 90.0)
    early, late, *others = filters[1:]
    early.signalMessage(message(920 * MS))
    late.signalMessage(message(1080 * MS))
    for camera in others:
        for i in range(queue_size):
            camera.signalMessage(message((960 + i) * MS))
    lines = 0

    def trace(frame: Any, event: str, arg: object) -> Any:  # noqa: ANN401
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        filters[0].signalMessage(message(1000 * MS))
    finally:
        sys.settrace(before)
    return lines


def works_through_the_product_of_the_queues(make: Make) -> bool:
    """Twice the queues must not be eight times the work."""
    return steps_of_a_hard_message(make, 8) > 5 * steps_of_a_hard_message(make, 4)


@dataclass(frozen=True)
class Probe:
    """A defect.

    Attributes:
        kind: `bug`, or `design`: then it does what it was made for, which is not what a vehicle needs.
        what: says what happens where the defect is.
        present: whether a synchroniser has it; None where it lacks the very feature.
    """

    kind: str
    what: str
    present: Callable[[Make], bool | None]


PROBES = (
    Probe(
        "bug",
        "a callback that raises leaves the lock held: the next message blocks for ever",
        blocked_after_an_exception,
    ),
    Probe("bug", "a bag that loops, one camera having outlived the LiDAR by 1 s: no set ever again", dead_after_a_loop),
    Probe("bug", "a stream with an offset, its message coming last: no set", deaf_to_an_offset),
    Probe("design", "one dead camera: no set at all", silent_with_a_dead_camera),
    Probe("design", "a lost view costs the whole set", loses_sets_with_views),
    Probe("design", "takes the first views that fit, not the nearest", takes_the_first_and_not_the_nearest),
    Probe("design", "a callback blocks all inputs: the lock is held in it", blocks_others_during_a_callback),
    Probe("design", "a message's work grows with the product of the queues", works_through_the_product_of_the_queues),
)
