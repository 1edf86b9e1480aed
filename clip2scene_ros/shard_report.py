"""What shards hold, counted record by record with every checksum verified, in lines for a person."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import NS_PER_S, UNKNOWN, Array
from clip2scene_ros.io.shard_index import FINISHED, shard_paths
from clip2scene_ros.io.shard_reader import ShardReader
from clip2scene_ros.io.shard_record import Record, unpack_record
from clip2scene_ros.words import listed

SHOWN = 10


@dataclass(eq=False)
class Survey:
    """What was found in shards.

    Attributes:
        path: the folder, or the shard.
        readers: one for each shard that could be opened.
        records: (reader, index) of each record that is whole.
        damaged: an error's text for each shard and record that is not.
        torn: unfinished shard -> bytes behind its last whole record.
        shard_bytes: of all files.
        member_bytes: kind of member -> bytes of content; views are counted together.
        points, labelled: of all whole records.
        confidence: sum over the labelled points.
        class_points, class_frames: (256,) points and frames with each class.
        class_sets: SHA-256 -> class set.
        views: images kept.
        cameras, vehicles, software, teachers: name -> records.
        scenes: drives, and parts of drives in which time goes on.
        stamps_ns, collected_ns: first and last.
        with_truth: records that have ground truth.
    """

    path: Path
    readers: list[ShardReader] = field(default_factory=list)
    records: list[tuple[ShardReader, int]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    torn: dict[Path, int] = field(default_factory=dict)
    shard_bytes: int = 0
    member_bytes: Counter[str] = field(default_factory=Counter)
    points: int = 0
    labelled: int = 0
    confidence: float = 0.0
    class_points: Array = field(default_factory=lambda: np.zeros(256, np.int64))
    class_frames: Array = field(default_factory=lambda: np.zeros(256, np.int64))
    class_sets: dict[str, ClassSet] = field(default_factory=dict)
    views: int = 0
    cameras: Counter[str] = field(default_factory=Counter)
    vehicles: Counter[str] = field(default_factory=Counter)
    software: Counter[str] = field(default_factory=Counter)
    teachers: Counter[str] = field(default_factory=Counter)
    scenes: set[str] = field(default_factory=set)
    stamps_ns: list[int] = field(default_factory=list)
    collected_ns: list[int] = field(default_factory=list)
    with_truth: int = 0

    def add(self, record: Record, sizes: dict[str, int]) -> None:
        """Count a record, read without its images, and the bytes of its members."""
        for name, size in sizes.items():
            self.member_bytes[re.sub(r"^view\d+", "views", name)] += size
        self.views += sum(re.fullmatch(r"view\d+\.(jpg|png)", name) is not None for name in sizes)
        self.cameras.update(record.cameras)
        self.points += len(record.frame.scan)
        self.with_truth += record.frame.labels is not None
        if record.labels is not None:
            counts = np.bincount(record.labels.class_id, minlength=256)
            known = record.labels.class_id != UNKNOWN
            self.class_points += counts
            self.class_frames += counts > 0
            self.labelled += int(known.sum())
            self.confidence += float(record.labels.confidence[known].sum(dtype=np.float64))
        source = record.provenance
        self.vehicles[source.vehicle] += 1
        self.software[source.software] += 1
        self.teachers[source.model_sha256 or "no hash"] += 1
        if source.class_set is not None:
            self.class_sets[source.class_set_sha256] = source.class_set
        self.scenes.add(record.key.rpartition("_")[0])
        self.stamps_ns = _span(self.stamps_ns, record.frame.scan.stamp_ns)
        self.collected_ns = _span(self.collected_ns, record.collected_ns)

    def check(self) -> None:
        """Raise BadDataset (damaged) where something is damaged."""
        if self.damaged:
            raise BadDataset(
                "damaged",
                f"{self.path}: {len(self.damaged)} shards or records are damaged, the first: {self.damaged[0]} "
                "Nothing of a damaged record is used: copy the shard again, or delete it.",
            )


def survey(path: Path) -> Survey:
    """Read all shards of a folder, or one, and check every byte of them.

    Raises:
        BadDataset: missing, no_shards; damage is counted, not raised.
    """
    found, keys = Survey(path), dict[str, Path]()
    for shard in shard_paths(path):
        found.shard_bytes += shard.stat().st_size
        try:
            reader = ShardReader(shard)
        except BadDataset as error:
            found.damaged.append(str(error))
            continue
        found.readers.append(reader)
        found.torn |= reader.torn
        for index, key in enumerate(reader.keys):
            if keys.setdefault(key, shard) != shard:
                found.damaged.append(f"{shard}: record {key} is in {keys[key]} as well.")
            else:
                _add(found, reader, index)
    return found


def describe_survey(found: Survey) -> str:
    """Return what was found, in lines."""
    count, damaged = len(found.records), len(found.damaged)
    finished = sum(FINISHED.fullmatch(reader.path.name) is not None for reader in found.readers)
    shards = f"{len(found.readers)} shards ({len(found.readers) - finished} unfinished)"
    lines = [
        f"shards {found.path}: {count} records in {shards}, {found.shard_bytes / 1e6:.2f} MB",
        f"  checksums: {count} records verified, {damaged} shards or records damaged",
        *(f"    DAMAGED {text}" for text in found.damaged[:SHOWN]),
        *(f"  torn tail, or being written: {shard.name}, {size} bytes" for shard, size in found.torn.items()),
    ]
    if not count:
        return "\n".join(lines)
    lines += [
        f"  vehicles: {_counted(found.vehicles)}; drives and their parts: {len(found.scenes)}",
        f"  stamps: {_times(found.stamps_ns)}",
        f"  collected: {_times(found.collected_ns)}, by {_counted(found.software)}",
        f"  teachers: {_counted(found.teachers)}",
        f"  cameras: {_counted(found.cameras) or 'none'}",
        f"  coverage: {found.points / count:.0f} points a frame, {_percent(found.labelled, found.points)} of them "
        f"labelled, mean confidence {found.confidence / max(1, found.labelled):.3f}; {found.views / count:.2f} images "
        f"a frame; ground truth in {found.with_truth} frames",
        *_bytes(found, count),
    ]
    if len(found.class_sets) > 1:
        names = listed(f"{each.name or '(no name)'} ({sha256[:8]})" for sha256, each in found.class_sets.items())
        return "\n".join([*lines, f"  classes: not counted together, the records are labelled by {names}"])
    for sha256, class_set in found.class_sets.items():
        lines += _classes(found, class_set, sha256)
    return "\n".join(lines)


def _add(found: Survey, reader: ShardReader, index: int) -> None:
    shard, entry = reader.where(index)
    try:
        members = reader.members(index)
        record = unpack_record(entry.key, members, images=False)
    except BadDataset as error:
        text = str(error)
        found.damaged.append(text if str(shard) in text else f"{shard}: record {entry.key}: {text}.")
        return
    found.records.append((reader, index))
    found.add(record, {member.name: member.size for member in entry.members})
    found.member_bytes["tar headers and padding"] += entry.end - entry.offset - sum(m.size for m in entry.members)


def _bytes(found: Survey, count: int) -> list[str]:
    total = sum(found.member_bytes.values())
    lines = [f"  bytes a frame: {total / count:,.0f}"]
    for name, size in found.member_bytes.most_common():
        lines.append(f"    {name:<24} {size / count:>12,.0f}  {_percent(size, total)}")
    return lines


def _classes(found: Survey, class_set: ClassSet, sha256: str) -> list[str]:
    width = max(map(len, class_set.names))
    lines = [f"  classes of {class_set.name or '(no name)'} ({sha256[:8]}), share of labelled points, frames with it:"]
    for i, name in enumerate(class_set.names):
        share = _percent(int(found.class_points[i]), found.labelled)
        lines.append(f"    {i:>3}  {name:<{width}}  {share:>7}  {int(found.class_frames[i]):>6}")
    return lines


def _span(span: list[int], value: int) -> list[int]:
    return [min([*span, value]), max([*span, value])]


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"


def _counted(names: Counter[str]) -> str:
    return listed(f"{name} ({count})" for name, count in names.most_common())


def _times(span: list[int]) -> str:
    first, last = (_time(ns) for ns in span)
    return f"{first} to {last}, {(span[1] - span[0]) / NS_PER_S:.3f} s"


def _time(ns: int) -> str:
    try:
        return datetime.fromtimestamp(ns / NS_PER_S, timezone.utc).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{ns} ns"
