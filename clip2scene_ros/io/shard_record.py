"""A frame, with what the teacher says of it, as the members of a record, and back: bit by bit the same.

Arrays are .npy, images are the very JPEG or PNG that came or else a PNG made here, all else is `frame.json`. The last
member, `checksum.json`, has the SHA-256 of every other one and of itself.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from clip2scene_ros import __version__
from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadDataset, BadImage, short
from clip2scene_ros.frame import Array, CameraModel, Frame, PseudoLabels, Scan, View
from clip2scene_ros.io.image import decode_compressed
from clip2scene_ros.io.shard_arrays import count_points, pack_array, pack_pixels, unpack_array, unpack_classes
from clip2scene_ros.io.shard_tar import CHECKSUM, FIRST

FORMAT = "clip2scene shard 1"
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
MAX_VIEWS = 100
TEXTS = ("vehicle", "model_sha256", "notice", "software")
"""What a provenance must tell; `clip` came later."""

Members = dict[str, bytes]


@dataclass(frozen=True)
class Provenance:
    """Where records come from.

    Attributes:
        vehicle: which one, in letters, digits, `-` and `_`, at most 32.
        class_set: what the pseudo-labels mean; None where there are none.
        model_sha256: of the teacher that made them, weights and settings.
        notice: the teacher's, to be shown with all that is learned from its labels.
        software: which wrote the record.
        clip: name of the CLIP whose labels they are; empty where another segmenter's.
    """

    vehicle: str
    class_set: ClassSet | None = None
    model_sha256: str = ""
    notice: str = ""
    software: str = field(default=f"clip2scene_ros {__version__}")
    clip: str = ""

    @property
    def class_set_sha256(self) -> str:
        """Return the SHA-256 of the class set's JSON, empty without one."""
        return "" if self.class_set is None else hashlib.sha256(self.class_set.to_json().encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Record:
    """One record.

    Attributes:
        key: its name, unique among all shards.
        frame: as it was written; without views where images were dropped, or not asked for.
        labels: pseudo-labels, or None.
        provenance: where it comes from.
        collected_ns: wall clock at writing [ns].
        cameras: names of all views that the frame had, kept or not.
    """

    key: str
    frame: Frame
    labels: PseudoLabels | None
    provenance: Provenance
    collected_ns: int
    cameras: tuple[str, ...]


def pack_record(
    frame: Frame,
    labels: PseudoLabels | None,
    provenance: Provenance,
    collected_ns: int,
    *,
    encoded: Mapping[str, bytes] | None = None,
    images: bool = True,
) -> Members:
    """Return the members of a record, `checksum.json` last.

    Args:
        frame: what is to be kept.
        labels: of its points, or None.
        provenance: where it comes from.
        collected_ns: wall clock [ns].
        encoded: camera -> the JPEG or PNG that its image was decoded from, which is kept as it is.
        images: False keeps none, nor what is known of their pixels.

    Raises:
        BadDataset: dtype, numbers, image, views: the frame is not what `Frame` says that it is.
    """
    kept, points = frame.views if images else (), len(frame.scan)
    if len(frame.views) > MAX_VIEWS:
        raise BadDataset("views", f"Expected at most {MAX_VIEWS} views, but got {len(frame.views)}.")
    members: Members = {}
    arrays = {
        "points": frame.scan.points, "intensity": frame.scan.intensity, "ring": frame.scan.ring,
        "time_ns": frame.scan.time_ns, "truth": frame.labels, "instances": frame.instances,
    }  # fmt: skip
    if labels is not None:
        arrays |= {"class_id": labels.class_id, "confidence": labels.confidence}
    for name, array in arrays.items():
        if array is not None:
            members[f"{name}.npy"] = pack_array(name, array, points)
    for number, view in enumerate(kept):
        name, content = _image(view, (encoded or {}).get(view.name))
        members[f"view{number}.{name}"] = content
        if view.labels is not None:
            members[f"view{number}.truth.png"] = pack_pixels(view.labels)
    told = _told(frame, provenance, collected_ns, list(members))
    return sealed({FIRST: told, **members})


def unpack_record(key: str, members: Mapping[str, bytes], *, images: bool = True) -> Record:
    """Return the record whose members are these; those of images may be lacking where they are not asked for.

    Raises:
        BadDataset: format, array, picture, image: they are not what `pack_record` makes.
    """
    told = _json(members, FIRST)
    if told.get("format") != FORMAT:
        raise BadDataset("format", f"{FIRST}: expected format {FORMAT!r}, but got {short(told.get('format'))}")
    try:
        return _record(key, told, members, images)
    except BadDataset:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadDataset("format", f"{FIRST}: {type(error).__name__}: {str(error)[:200]}") from error


def sealed(members: Members) -> Members:
    """Return the members with their checksum, which comes last."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    return {**members, CHECKSUM: _seal(sums)}


def read_seal(content: bytes) -> dict[str, str]:
    """Return member -> SHA-256 that a `checksum.json` tells.

    Raises:
        BadDataset: checksum: it is not, byte for byte, what `sealed` makes.
    """
    sums = _json({CHECKSUM: content}, CHECKSUM).get("members")
    if not isinstance(sums, dict) or _seal(sums) != content:
        raise BadDataset("checksum", f"{CHECKSUM}: it does not fit its own SHA-256")
    return sums


def _seal(sums: dict[str, str]) -> bytes:
    own = hashlib.sha256(json.dumps(sums).encode()).hexdigest()
    return json.dumps({"members": sums, "sha256": own}).encode()


def _image(view: View, encoded: bytes | None) -> tuple[str, bytes]:
    """Return the extension and the bytes of an image."""
    if encoded is None:
        return "png", pack_pixels(view.image)
    kind = "jpg" if encoded.startswith(JPEG) else "png" if encoded.startswith(PNG) else ""
    if not kind:
        raise BadDataset("image", f"Expected a JPEG or PNG of {view.name}, but got bytes {encoded[:8].hex()}.")
    try:
        with Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG")) as image:  # reads no further than the header
            size = image.size[::-1]
    except (OSError, SyntaxError, ValueError) as error:
        raise BadDataset("image", f"Expected a JPEG or PNG of {view.name}, but got {error}.") from error
    if size != view.image.shape[:2]:
        raise BadDataset("image", f"Expected {view.image.shape[:2]} pixels of {view.name}, but its file has {size}.")
    return kind, bytes(encoded)


def _told(frame: Frame, provenance: Provenance, collected_ns: int, members: list[str]) -> bytes:
    views = [
        {
            "name": view.name, "stamp_ns": view.stamp_ns, "width": view.camera.width, "height": view.camera.height,
            "matrix": _numbers(view.camera.matrix, (3, 3), f"matrix of {view.name}"),
            "distortion_model": view.camera.distortion_model,
            "distortion": _numbers(view.camera.distortion, (-1,), f"distortion of {view.name}"),
            "camera_from_lidar": _numbers(view.camera_from_lidar, (4, 4), f"camera_from_lidar of {view.name}"),
        }
        for view in frame.views
    ]  # fmt: skip
    pose = frame.world_from_lidar
    class_set = None if provenance.class_set is None else json.loads(provenance.class_set.to_json())
    source = {name: getattr(provenance, name) for name in (*TEXTS, "clip", "class_set_sha256")}
    source["class_set"] = class_set
    return json.dumps(
        {
            "format": FORMAT, "stamp_ns": frame.scan.stamp_ns, "frame_id": frame.scan.frame_id,
            "world_from_lidar": None if pose is None else _numbers(pose, (4, 4), "world_from_lidar"),
            "views": views, "provenance": source, "collected_ns": collected_ns, "members": members,
        },
        default=int,  # a stamp may be a numpy integer
    ).encode()  # fmt: skip


def _numbers(array: Array, shape: tuple[int, ...], what: str) -> list[Any]:
    """Return float64 numbers as lists: JSON has the shortest text that reads back as the same bits."""
    values = np.asarray(array)
    fits = values.ndim == len(shape) and all(s in (n, -1) for s, n in zip(shape, values.shape, strict=True))
    if not fits or values.dtype != np.float64 or not np.isfinite(values).all():
        raise BadDataset(
            "numbers", f"Expected {what} of finite float64 {shape}, but got {values.dtype} {values.shape}: {values}."
        )
    listed: list[Any] = values.tolist()
    return listed


def _json(members: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        told = json.loads(members[name])
    except KeyError:
        raise BadDataset("format", f"{name} is missing") from None
    except (ValueError, RecursionError) as error:
        raise BadDataset("format", f"{name} is no JSON: {str(error)[:100]}") from error
    if not isinstance(told, dict):
        raise BadDataset("format", f"{name}: expected a mapping, but got {short(told)}")
    return told


def _record(key: str, told: dict[str, Any], members: Mapping[str, bytes], images: bool) -> Record:
    missing = [n for n in told["members"] if n not in members and (images or not n.startswith("view"))]
    if missing or "points.npy" not in members or "intensity.npy" not in members:
        raise BadDataset("format", f"{', '.join(missing) or 'points or intensity'}: the member is missing")
    points = count_points(members["points.npy"])

    def array(name: str) -> Array | None:
        content = members.get(f"{name}.npy")
        return None if content is None else unpack_array(name, content, points)

    known = {name: array(name) for name in ("points", "intensity", "ring", "time_ns")}
    scan = Scan(**known, stamp_ns=int(told["stamp_ns"]), frame_id=str(told["frame_id"]))  # type: ignore[arg-type]
    pose = None if told["world_from_lidar"] is None else _matrix(told["world_from_lidar"], (4, 4))
    views = [_view(number, each, members) for number, each in enumerate(told["views"])] if images else []
    frame = Frame(scan, tuple(v for v in views if v is not None), pose, array("truth"), array("instances"))
    class_id, confidence = array("class_id"), array("confidence")
    labels = None if class_id is None or confidence is None else PseudoLabels(class_id, confidence)
    cameras = tuple(str(each["name"]) for each in told["views"])
    return Record(key, frame, labels, _provenance(told["provenance"]), int(told["collected_ns"]), cameras)


def _view(number: int, told: dict[str, Any], members: Mapping[str, bytes]) -> View | None:
    """Return a view, None where its image was not kept."""
    content = members.get(f"view{number}.jpg") or members.get(f"view{number}.png")
    if content is None:
        return None
    truth = members.get(f"view{number}.truth.png")
    try:
        image, labels = decode_compressed(content), None if truth is None else unpack_classes(truth)
    except BadImage as error:
        raise BadDataset("image", f"view{number}: {error}") from error
    width, height = int(told["width"]), int(told["height"])
    if image.shape[:2] != (height, width):
        raise BadDataset("image", f"view{number}: expected {width} x {height} pixels, but got {image.shape[:2][::-1]}")
    matrix, bent = _matrix(told["matrix"], (3, 3)), _matrix(told["distortion"], (-1,))
    camera = CameraModel(width, height, matrix, str(told["distortion_model"]), bent)
    placed = _matrix(told["camera_from_lidar"], (4, 4))
    return View(str(told["name"]), image, camera, placed, int(told["stamp_ns"]), labels)


def _matrix(value: Any, shape: tuple[int, ...]) -> Array:  # noqa: ANN401 - of a JSON that anyone may have written
    array = np.array(value, np.float64)
    _numbers(array, shape, "numbers")
    return array


def _provenance(told: dict[str, Any]) -> Provenance:
    class_set = None if told["class_set"] is None else _class_set(json.dumps(told["class_set"]))
    texts = {name: str(told[name]) for name in TEXTS}
    return Provenance(class_set=class_set, clip=str(told.get("clip", "")), **texts)


@lru_cache(8)
def _class_set(text: str) -> ClassSet:
    return ClassSet.from_json(text)
