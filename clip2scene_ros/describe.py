"""What a file holds, in lines for a person: a bag, a checkpoint, a CLIP or a class set."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.errors import BadCloud, BadConfig
from clip2scene_ros.io.bag_frames import CLOUD
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.io.pointcloud import parse
from clip2scene_ros.words import listed

DATATYPES = {1: "int8", 2: "uint8", 3: "int16", 4: "uint16", 5: "int32", 6: "uint32", 7: "float32", 8: "float64"}
"""sensor_msgs/PointField datatypes."""

LONGEST = 100


def describe(path: Path) -> str:
    """Return the description of a bag (folder, .mcap, .db3), of weights (.safetensors) or a class set (.yaml).

    Raises:
        BadConfig: there is nothing at `path`, or it is none of these.
        Clip2SceneError: it is one of these, but damaged.
    """
    if not path.exists():
        raise BadConfig("missing", f"There is no {path}.")
    if path.suffix == ".safetensors":
        return describe_weights(path)
    if path.suffix in (".yaml", ".yml"):
        return describe_class_set(load_class_set(str(path)))
    if path.is_dir() or path.suffix in (".mcap", ".db3"):
        return describe_bag(path)
    raise BadConfig(
        "kind",
        f"{path}: expected a bag (rosbag2 folder, .mcap, .db3), shards (folder, .tar), weights (.safetensors) "
        "or a class set (.yaml).",
    )


def describe_bag(path: Path) -> str:
    """Return topics, types, counts, duration, the clouds' fields, which drive it is, and the ground truth's classes."""
    with BagReader(path) as bag:
        topics = bag.topics
        width = max(map(len, topics), default=0)
        lines = [f"bag {path}: {sum(count for _, count in topics.values())} messages, {bag.duration_s:.3f} s"]
        for topic, (msgtype, count) in topics.items():
            lines.append(f"  {topic:<{width}}  {count:>6}  {msgtype}")
        for topic, (msgtype, count) in topics.items():
            if msgtype == CLOUD and count:
                lines += _describe_cloud(topic, next(bag.messages(topic))[1])
        truth, world = bag.class_set(), bag.world()
    if world is not None:
        lines += ["", "synthetic world: " + ", ".join(f"{name} {value}" for name, value in world.items())]
    if truth is not None:
        lines += ["", f"ground truth: {describe_class_set(truth)}"]
    return "\n".join(lines)


def describe_weights(path: Path) -> str:
    """Return what a checkpoint or a CLIP says of itself: network, classes, where its weights come from."""
    from clip2scene_ros.student.checkpoint import METADATA_KEY as STUDENT  # torch, which bags do not need
    from clip2scene_ros.student.checkpoint import file_sha256, load_checkpoint
    from clip2scene_ros.student.header import read_header
    from clip2scene_ros.teacher.clip import METADATA_KEY as CLIP
    from clip2scene_ros.teacher.clip import card_of

    entries, metadata = read_header(path)
    is_clip = CLIP in metadata and STUDENT not in metadata
    card = card_of(path, metadata[CLIP]) if is_clip else load_checkpoint(path)[1]
    numbers = sum(math.prod(entry.shape) for entry in entries.values())
    lines = [
        f"{'CLIP' if is_clip else 'checkpoint'} {path}: {numbers} numbers in {len(entries)} tensors, "
        f"{path.stat().st_size / 1e6:.2f} MB",
        f"  sha256: {file_sha256(path)}",
    ]
    for field in fields(card):
        lines += _described(field.name, getattr(card, field.name))
    return "\n".join(lines)


def describe_class_set(class_set: ClassSet) -> str:
    """Return the classes with their ids, colours and prompts."""
    width = max(map(len, class_set.names))
    lines = [f"class set {class_set.name or '(no name)'}: {len(class_set)} classes"]
    for i, c in enumerate(class_set.classes):
        red, green, blue = c.color
        lines.append(f"  {i:>3}  {c.name:<{width}}  #{red:02x}{green:02x}{blue:02x}  {', '.join(c.prompts)}")
    return "\n".join(lines)


def _describe_cloud(topic: str, message: Any) -> list[str]:  # noqa: ANN401 - a rosbags message
    """Return the fields of a topic's first cloud, and what the parser makes of it."""
    lines = ["", f"first cloud on {topic}: frame {message.header.frame_id!r}, {message.width} x {message.height}"]
    lines += [
        f"  {f.name[:LONGEST]:<12} {DATATYPES.get(f.datatype, f'datatype {f.datatype}')} @{f.offset}"
        + (f" x{f.count}" if f.count != 1 else "")
        for f in message.fields
    ]
    try:
        scan = parse(message)
    except BadCloud as error:
        return [*lines, f"  cannot be read ({error.reason}): {error}"]
    extras = [name for name, value in (("ring", scan.ring), ("point time", scan.time_ns)) if value is not None]
    return [*lines, f"  {len(scan)} points{''.join(f', {extra}' for extra in extras)}"]


def _described(name: str, value: Any) -> list[str]:  # noqa: ANN401 - a card's fields are of many types
    if isinstance(value, ClassSet):
        return ["  " + line for line in describe_class_set(value).splitlines()]
    if is_dataclass(value) and not isinstance(value, type):
        inner = ", ".join(f"{f.name} {getattr(value, f.name)}" for f in fields(value))
        return [f"  {name}: {inner}"]
    if value is None or value == ():
        return []
    if isinstance(value, tuple):
        return [f"  {name}: {listed([str(item) for item in value])}"]
    if hasattr(value, "shape"):
        return [f"  {name}: {' x '.join(map(str, value.shape))} numbers"]
    return [f"  {name}: {value}"]
