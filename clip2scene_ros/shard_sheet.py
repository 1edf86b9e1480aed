"""The contact sheet of shards: frames from first to last, each from above and as its cameras saw it, with labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clip2scene_ros.drawing import blank, legible, plate
from clip2scene_ros.errors import BadConfig, BadDataset
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_ros.io.image import encode_jpeg
from clip2scene_ros.io.shard_record import Record
from clip2scene_ros.render import bird_view, heading_of, label_view, place_of
from clip2scene_ros.shard_report import Survey

FRAMES = 12
COLUMNS = 2
VIEWS = 6
VIEW_PX = 300
BIRD_PX = 344
GAP_PX = 4


def write_sheet(path: Path, found: Survey, frames: int = FRAMES) -> None:
    """Draw up to `frames` records, evenly chosen, into a JPEG.

    Raises:
        BadConfig: the file is not called .jpg or .jpeg.
        BadDataset: there is no record to draw, or its image is none.
    """
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        raise BadConfig("output", f"{path}: the contact sheet is a JPEG; call it {path.with_suffix('.jpg').name}.")
    if not found.records:
        raise BadDataset("empty", f"{found.path}: there is no whole record to draw.")
    chosen = np.unique(np.linspace(0, len(found.records) - 1, frames).round().astype(int))
    panels = [panel(reader.record(index)) for reader, index in (found.records[i] for i in chosen)]
    sheet = _stacked([_beside(panels[i : i + COLUMNS]) for i in range(0, len(panels), COLUMNS)])
    with whole_file(path) as stream:
        stream.write(encode_jpeg(sheet))


def panel(record: Record) -> Array:
    """Return (H, W, 3) uint8: the scan from above, beside it up to six views in two rows, with the labels drawn."""
    frame, class_set = record.frame, record.provenance.class_set
    points = frame.scan.points
    class_id = np.full(len(points), UNKNOWN, np.uint8) if record.labels is None else record.labels.class_id
    palette = np.full((256, 3), 128, np.uint8) if class_set is None else legible(class_set.palette)
    scan = bird_view(points, class_id, palette, BIRD_PX, heading_rad=heading_of(frame))
    views = sorted(frame.views, key=place_of)[:VIEWS]
    drawn = [plate(label_view(v, points, class_id, palette, VIEW_PX), (10, 10), v.name, 13) for v in views]
    columns = -(-len(drawn) // 2)
    rows = [_beside(row) for row in (drawn[:columns], drawn[columns:]) if row]
    return _beside(
        [plate(scan, (10, 10), "-".join(record.key.split("-")[-2:]), 13), *([_stacked(rows)] if rows else [])]
    )


def _beside(pictures: list[Array]) -> Array:
    """Return pictures side by side, each at the top."""
    height = max(picture.shape[0] for picture in pictures)
    gap = blank(height, GAP_PX)
    parts = []
    for picture in pictures:
        below = blank(height - picture.shape[0], picture.shape[1])
        parts += [np.concatenate([picture, below]), gap]
    return np.concatenate(parts[:-1], axis=1)


def _stacked(pictures: list[Array]) -> Array:
    """Return pictures one below the other, each at the left."""
    stacked: Array = _beside([picture.transpose(1, 0, 2) for picture in pictures]).transpose(1, 0, 2)
    return stacked
