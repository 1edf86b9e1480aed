"""What appending, reading and mending frames of the synthetic world costs (`bench/kill_shards.py`)."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from kill_shards_frames import CONFIG, SOURCE

from clip2scene_ros.frame import Frame, PseudoLabels
from clip2scene_ros.io.image import decode_compressed, encode_jpeg
from clip2scene_ros.io.shards import ShardReader, ShardWriter


def appends(folder: Path, count: int, as_jpeg: bool) -> dict[str, Any]:
    """Append a frame of the synthetic world with six images again and again."""
    shards = folder / f"appends_{as_jpeg}"
    frame, labels, encoded = collected(folder, as_jpeg)
    appending = append(shards, count, frame, labels, encoded)
    reading = read(shards, count)
    p50, p95, worst = appending["append_ms"].values()
    print(
        f"{len(frame.scan)} points, {len(frame.views)} images as {'JPEG' if as_jpeg else 'PNG'}: "
        f"{reading['bytes']:,} bytes a frame; append p50 {p50:.2f} ms, p95 {p95:.2f} ms, "
        f"max {worst:.1f} ms, of the CPU {appending['cpu_ms']:.2f} ms, "
        f"{appending['frames_per_s']:.0f} frames/s with syncs; read and checked {reading['read_ms']:.2f} ms"
    )
    print("  " + ", ".join(f"{name} {size:,}" for name, size in reading["members"].items()))
    mending = mend(shards)
    shutil.rmtree(shards)
    return {
        **mending, "cpu_ms": appending["cpu_ms"], "jpeg": as_jpeg, "points": len(frame.scan), "bytes": reading["bytes"],
        "members": reading["members"], "append_ms": appending["append_ms"], "frames_per_s": appending["frames_per_s"],
        "read_ms": reading["read_ms"],
    }  # fmt: skip


def collected(folder: Path, as_jpeg: bool) -> tuple[Frame, PseudoLabels, dict[str, bytes]]:
    """Return a frame of the synthetic world as a vehicle would collect it, its labels, and its encoded images."""
    from clip2scene_training.datasets.world import WorldDataset

    frame = WorldDataset([100003], 1, folder / "world", workers=1, with_images=True)[0]
    encoded = {view.name: encode_jpeg(view.image) for view in frame.views} if as_jpeg else {}
    views = tuple(
        replace(view, labels=None, image=decode_compressed(encoded[view.name]) if as_jpeg else view.image)
        for view in frame.views
    )
    labels = PseudoLabels(frame.labels, np.ones(len(frame.scan), np.float32))
    return replace(frame, views=views, labels=None, instances=None), labels, encoded


def append(shards: Path, count: int, frame: Frame, labels: PseudoLabels, encoded: dict[str, bytes]) -> dict[str, Any]:
    """Append a frame `count` times; return what that took."""
    took = []
    started, cpu = time.perf_counter(), time.process_time()
    with ShardWriter(shards, SOURCE, replace(CONFIG, sync_s=1.0, max_shard_frames=1000)) as writer:
        for i in range(count):
            now = time.perf_counter()
            scan = replace(frame.scan, stamp_ns=i)
            writer.append(replace(frame, scan=scan), labels, encoded=encoded)
            took.append(1e3 * (time.perf_counter() - now))
    seconds, cpu_ms = time.perf_counter() - started, 1e3 * (time.process_time() - cpu) / count
    p50, p95 = np.percentile(took, (50, 95))
    pace = {"p50": p50, "p95": p95, "max": max(took)}
    return {"cpu_ms": cpu_ms, "append_ms": pace, "frames_per_s": count / seconds}


def read(shards: Path, count: int) -> dict[str, Any]:
    """Read and check all frames; return what that took, and the bytes of one."""
    reader = ShardReader(shards)
    _, entry = reader.where(0)
    started = time.perf_counter()
    for index in range(count):
        reader.record(index)
    read_ms = 1e3 * (time.perf_counter() - started) / count
    sizes = {member.name: member.size for member in entry.members}
    sizes["tar headers and padding"] = entry.end - entry.offset - sum(sizes.values())
    return {"bytes": entry.end - entry.offset, "members": sizes, "read_ms": read_ms}


def mend(shards: Path) -> dict[str, Any]:
    """Make the last shard one whose writer has been killed, mend it, and return what that took."""
    last = ShardReader(shards).paths[-1]
    with last.rename(f"{last}.partial").open("ab") as file:
        file.write(bytes(1_000_000))
    size, started = sum(path.stat().st_size for path in shards.glob("*.partial")), time.perf_counter()
    with ShardWriter(shards, SOURCE, CONFIG) as writer:
        (mended,) = writer.mended
    mend_ms = 1e3 * (time.perf_counter() - started)
    print(f"  an unfinished shard of {size / 1e6:.0f} MB with {mended.kept} such frames is mended in {mend_ms:.1f} ms")
    return {"mend_ms": mend_ms, "mended_bytes": size}
