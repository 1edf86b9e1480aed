"""What can be checked on real data: a student meets four real scans, and nobody trained or chose anything on them.

1. SemanticKITTI, one scan with labels: IoU of eight classes that both worlds have, by distance.
2. nuScenes, one key frame with boxes: recall on the points inside boxes.
3. KITTI odometry, two successive scans without labels: does a place keep its class?

All of them are small, of two cities, and say how a student carries over, not how good it is on the road.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.frame import UNKNOWN, Array, Frame, Scan
from clip2scene_ros.geometry import compose, invert, transform
from clip2scene_ros.metrics import confusion, distance_bands, iou, mean_iou
from clip2scene_ros.offline import SegmentsScans
from clip2scene_training.datasets.nuscenes import read_lidar
from clip2scene_training.datasets.semantickitti import read_calibration, read_labels, read_poses, read_velodyne
from clip2scene_training.neighbours import NONE, nearest_within


@dataclass(frozen=True)
class Merged:
    """One class that both sides have: the names that stand for it in class set `world` and in `semantickitti`."""

    world: tuple[str, ...]
    semantickitti: tuple[str, ...]


MERGED = {
    "road": Merged(("driveable surface",), ("road", "parking")),
    "sidewalk": Merged(("sidewalk",), ("sidewalk",)),
    "terrain": Merged(("terrain",), ("terrain",)),
    "vegetation": Merged(("vegetation",), ("vegetation", "trunk")),
    "manmade": Merged(("manmade", "barrier", "traffic cone"), ("building", "fence", "pole", "traffic sign")),
    "car": Merged(("car",), ("car",)),
    "other vehicle": Merged(("truck", "bus", "trailer", "construction vehicle"), ("truck", "other vehicle")),
    "person or two-wheeler": Merged(
        ("pedestrian", "bicycle", "motorcycle"), ("person", "bicyclist", "motorcyclist", "bicycle", "motorcycle")
    ),
}
"""What is in no row (`other ground`, `other flat`) is left out of the truth, and wrong where it is predicted."""

BOX_CLASSES = ("truck", "barrier", "pedestrian", "car")
AGREEMENT_RADIUS_M = 0.2
"""After registration, a point of the other scan that is this near is taken to be of the same surface."""
KITTI_SCANS = (94, 95)
Z_95 = 1.959964
"""Standard normal quantile of 95 % intervals."""


def reality(segmenter: SegmentsScans, data: Path) -> dict[str, Any]:
    """Return all three checks as JSON values; `data` is the folder with `semantickitti`, `nuscenes`, `kitti_odometry`.

    Raises:
        BadDataset: a file is missing or damaged.
    """
    return {
        "semantickitti": semantickitti(segmenter, data / "semantickitti"),
        "nuscenes": nuscenes(segmenter, data / "nuscenes"),
        "agreement": agreement(segmenter, data / "kitti_odometry"),
    }


def semantickitti(segmenter: SegmentsScans, folder: Path) -> dict[str, Any]:
    """Score the scan in the classes of MERGED: `all` and each distance band with mIoU, IoU, points, absent classes."""
    scan = _velodyne(folder / "000000.bin")
    theirs = load_class_set("semantickitti")
    truth = theirs.from_benchmark(read_labels(folder / "000000.label")[0])
    truth = merging(theirs, [m.semantickitti for m in MERGED.values()])[truth]
    merged = merging(segmenter.class_set, [m.world for m in MERGED.values()])[segmenter.segment(scan).class_id]
    bands = {"all": np.ones(len(scan), dtype=bool), **distance_bands(Frame(scan))}
    return {name: _scores(confusion(truth[band], merged[band], len(MERGED))) for name, band in bands.items()}


def nuscenes(segmenter: SegmentsScans, folder: Path) -> dict[str, Any]:
    """Return for each of BOX_CLASSES how many points inside its boxes, and how many boxes by majority, are right.

    The student is given the scan with x forward and z up, as the vehicle's axes are; boxes are in the sensor's.
    The points of one box stand or fall together, so that the interval of the points is too narrow; that of the boxes
    is nearer to the truth. Boxes rest on the road and hold some of its points, which no student should get right.
    """
    info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    frame, categories = info["data_list"][0], info["metainfo"]["categories"]
    points, intensity, ring = read_lidar(folder / frame["lidar_points"]["lidar_path"])
    ego_from_lidar = np.array(frame["lidar_points"]["lidar2ego"])  # their y is forward, everybody else's x
    forward = np.ascontiguousarray(points @ ego_from_lidar[:3, :3].T.astype(np.float32))
    predicted = segmenter.segment(Scan(forward, intensity, ring=ring)).class_id
    inside = np.load(folder / "point_labels_from_boxes_int8.npy", allow_pickle=False)
    result = {}
    for name in BOX_CLASSES:
        mine = inside == categories[name]
        right = predicted == segmenter.class_set.index(name)
        boxes = [b["bbox_3d"] for b in frame["instances"] if b["bbox_label_3d"] == categories[name]]
        held = [held for held in (mine & in_box(points, box) for box in boxes) if held.any()]
        result[name] = {
            "points": proportion(int(right[mine].sum()), int(mine.sum())),
            "boxes": proportion(sum(bool(2 * right[h].sum() > h.sum()) for h in held), len(held)),
            "taken_for": _taken_for(predicted[mine], segmenter.class_set),
        }
    return result


def agreement(segmenter: SegmentsScans, folder: Path, radius_m: float = AGREEMENT_RADIUS_M) -> dict[str, Any]:
    """Return how often a point and its nearest neighbour in the other scan, after registration, have one class.

    `chance` is what two independent draws with the same class shares would reach, so that a student that calls
    everything road is seen through.
    """
    camera_from_lidar = read_calibration(folder / "calib.txt")["Tr"]
    poses = read_poses(folder / "poses_00_gt.txt", camera_from_lidar)
    scans = [_velodyne(folder / f"{number:06d}.bin") for number in KITTI_SCANS]
    first, second = (segmenter.segment(scan).class_id for scan in scans)
    second_from_first = compose(invert(poses[KITTI_SCANS[1]]), poses[KITTI_SCANS[0]])
    moved = transform(second_from_first, scans[0].points.astype(np.float64))
    there = scans[1].points.astype(np.float64)
    forth, back = nearest_within(moved, there, radius_m), nearest_within(there, moved, radius_m)
    own = np.concatenate([first[forth != NONE], second[back != NONE]])
    other = np.concatenate([second[forth[forth != NONE]], first[back[back != NONE]]])
    known = (own != UNKNOWN) & (other != UNKNOWN)
    total = len(first) + len(second)
    return {"radius_m": radius_m, "matched": len(own) / total, **_agreeing(own[known], other[known], segmenter)}


def table(result: dict[str, Any]) -> str:
    """Return what `reality` found as lines for a terminal."""
    return "\n".join(
        [
            *_kitti_lines(result["semantickitti"]),
            *_box_lines(result["nuscenes"]),
            *_agreement_lines(result["agreement"]),
        ]
    )


def report_table(result: dict[str, Any]) -> dict[str, Any]:
    """Return what `reality` found as a table of a report: `columns` and `rows`."""
    scan, found = result["semantickitti"], result["agreement"]
    rows = [
        [
            f"SemanticKITTI scan, {name}, mIoU of {len(MERGED)} merged classes",
            _percent(band["miou"]),
            f"{band['points']} points",
        ]
        for name, band in scan.items()
    ]
    for name, row in result["nuscenes"].items():
        (low, high), points, boxes = row["points"]["interval"], row["points"], row["boxes"]
        of = f"[{100 * low:.1f}, {100 * high:.1f}] of {points['of']} points; {boxes['right']} of {boxes['of']} boxes"
        rows.append([f"nuScenes key frame, recall in boxes, {name}", _percent(points["share"]), of])
    chance = f"of {found['points']} points; chance {_percent(found['chance'])}"
    rows.append(["KITTI scans 94 and 95, points of one place that agree", _percent(found["agree"]), chance])
    return {"columns": ["check", "%", "of how many"], "rows": rows}


def _kitti_lines(bands: dict[str, Any]) -> list[str]:
    def row(title: str, cells: Iterable[str]) -> str:
        return f"  {title:<24}" + "".join(f"{cell:>10}" for cell in cells)

    classes = [row(name, (_percent(band["iou"][name]) for band in bands.values())) for name in MERGED]
    return [
        f"SemanticKITTI, one scan, {len(MERGED)} merged classes, IoU [%]",
        row("", bands),
        *classes,
        row("mIoU", (_percent(band["miou"]) for band in bands.values())),
        row("mIoU of those with truth", (_percent(band["miou_of_present"]) for band in bands.values())),
        row("absent classes", (str(len(band["absent"])) for band in bands.values())),
        row("points with truth", (str(band["points"]) for band in bands.values())),
    ]


def _box_lines(rows: dict[str, Any]) -> list[str]:
    def text(part: dict[str, Any]) -> str:
        low, high = part["interval"]
        return f"{_percent(part['share'])} [{100 * low:4.1f}, {100 * high:5.1f}] {part['right']:4} of {part['of']:4}"

    lines = [f"  {name:<12}{text(row['points'])}    {text(row['boxes'])}" for name, row in rows.items()]
    title = "nuScenes, one key frame, recall [%] with Wilson's 95 % interval: points inside boxes; boxes by majority"
    return ["", title, *lines, "  points of one box stand or fall together: their true intervals are wider"]


def _agreement_lines(found: dict[str, Any]) -> list[str]:
    title = (
        f"KITTI odometry, scans {KITTI_SCANS[0]} and {KITTI_SCANS[1]} registered by their poses: points with the class"
    )
    title += f" of the nearest one within {found['radius_m']:g} m"
    total = f"  {'all':<24}{_percent(found['agree'])} % of {found['points']} (chance {_percent(found['chance'])} %)"
    rows = [
        f"  {name:<24}{_percent(row['agree'])} % of {row['points']}"
        for name, row in found["classes"].items()
        if row["points"]
    ]
    return ["", title, total, *rows]


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:5.1f}"


def _agreeing(own: Array, other: Array, segmenter: SegmentsScans) -> dict[str, Any]:
    names = segmenter.class_set.names
    shares, others = (np.bincount(ids, minlength=len(names)) / max(len(ids), 1) for ids in (own, other))
    same = np.bincount(own[own == other], minlength=len(names))
    counts = np.bincount(own, minlength=len(names))
    return {
        "points": len(own),
        "agree": float((own == other).mean()) if len(own) else None,
        "chance": float(shares @ others),
        "classes": {
            name: {"points": int(n), "agree": int(s) / int(n) if n else None}
            for name, n, s in zip(names, counts, same, strict=True)
        },
    }


def merging(class_set: ClassSet, groups: Iterable[Sequence[str]]) -> Array:
    """Return (256,) uint8: class id -> number of the group that names the class, 255 for those in none.

    Names that `class_set` lacks are passed over: a student may know fewer classes.
    """
    table = np.full(256, UNKNOWN, dtype=np.uint8)
    for number, names in enumerate(groups):
        for name in names:
            if name in class_set.names:
                table[class_set.index(name)] = number
    return table


def in_box(points: Array, box: Sequence[float]) -> Array:
    """Return (N,) bool: which points are in a box x y z (of its centre) length width height [m] yaw [rad]."""
    centre, size, yaw = np.array(box[:3]), np.array(box[3:6]), float(box[6])
    gaps = points.astype(np.float64) - centre
    c, s = math.cos(yaw), math.sin(yaw)
    along, across = gaps[:, 0] * c + gaps[:, 1] * s, gaps[:, 1] * c - gaps[:, 0] * s
    inside: Array = (np.abs(np.stack([along, across, gaps[:, 2]], axis=1)) <= size / 2).all(axis=1)
    return inside


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion, (0, 1) where nothing was tried.

    Wilson, Probable inference, 1927; it stays in [0, 1] and holds for few trials and for 0 or all successes.

    Raises:
        ValueError: not 0 <= successes <= trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"Expected 0 <= successes <= trials, but got {successes} of {trials}.")
    if not trials:
        return 0.0, 1.0
    share, z2 = successes / trials, Z_95**2 / trials
    centre = (share + z2 / 2) / (1 + z2)
    half = math.sqrt(share * (1 - share) * z2 + z2**2 / 4) / (1 + z2)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def proportion(successes: int, trials: int) -> dict[str, Any]:
    """Return `right`, `of`, `share` (None of nothing) and the Wilson `interval`."""
    share = successes / trials if trials else None
    return {"right": successes, "of": trials, "share": share, "interval": list(wilson(successes, trials))}


def _scores(matrix: Array) -> dict[str, Any]:
    """Return mIoU, and `miou_of_present` over the classes with truth: a student predicts some that one scan lacks."""
    values, means = iou(matrix), (mean_iou(matrix), mean_iou(matrix, min_points=1))
    absent = [name for name, value in zip(MERGED, values, strict=True) if np.isnan(value)]
    miou, of_present = (None if math.isnan(mean) else mean for mean in means)
    return {
        "miou": miou,
        "miou_of_present": of_present,
        "points": int(matrix.sum()),
        "absent": absent,
        "iou": {name: None if name in absent else float(v) for name, v in zip(MERGED, values, strict=True)},
        "truth": {name: int(n) for name, n in zip(MERGED, matrix.sum(axis=1), strict=True)},
    }


def _taken_for(predicted: Array, class_set: ClassSet) -> dict[str, int]:
    """Return the three classes most often predicted, with their points."""
    counts = np.bincount(predicted, minlength=256)
    names = dict(enumerate(class_set.names))
    return {names.get(int(i), "unknown"): int(counts[i]) for i in np.argsort(-counts, kind="stable")[:3] if counts[i]}


def _velodyne(path: Path) -> Scan:
    points, reflectance = read_velodyne(path)
    return Scan(points, reflectance)
