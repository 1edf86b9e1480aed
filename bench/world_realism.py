"""Does the world look like the roads that a real sensor saw?

Range, incidence, intensity, returns per ring and class shares of scans of the world beside those of the real nuScenes,
KITTI and SemanticKITTI scans in `../shared/data`, where these are at hand: percentiles beside each other, and pictures
(histograms, scans from above). Class shares are also held against those that nuScenes-lidarseg publishes. Incidence is
estimated in the same way on both: from the plane through a point's 80 nearest neighbours, where they do not lie on one
line as those on a single ring do.

Pictures show real data, whose licence does not allow to pass it on: they go to the folder that is named, nowhere else.

    python bench/world_realism.py --out sheets --json realism.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import yaml
from PIL import Image, ImageDraw
from world_features import neighbourhood, shape

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.drawing import BACKGROUND, FAINT, RULE, TEXT, font, legible
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_ros.render import bird_view, save_png
from clip2scene_ros.share import share_file
from clip2scene_training.datasets.semantickitti import read_velodyne
from clip2scene_training.world import Drive, Label
from clip2scene_training.world.splits import EVERY, SPLITS

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LOW, HIGH = 0.3, 3.0
"""A class's share of the points over nuScenes' own lies within these."""
PERCENTILES = (1, 10, 25, 50, 75, 90, 99)
SCENES, SAMPLE = 30, 4000
"""Scenes of val; points whose incidence is estimated."""
LINE = 0.95
"""Neighbours that lie this much on a line span no plane."""
COLORS = ((90, 170, 255), (255, 160, 70))

NUSCENES = "nuscenes/n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin"
KITTI = ("kitti_odometry/000094.bin", "kitti_odometry/000095.bin")
SEMANTICKITTI = "semantickitti/000000"
EGO_M = 2.9
"""Nearer returns are the recording car itself."""
MERGED = {
    "car": "car", "bicycle": "bicycle", "bicyclist": "bicycle", "motorcycle": "motorcycle",
    "motorcyclist": "motorcycle", "truck": "truck", "person": "pedestrian", "road": "driveable surface",
    "parking": "driveable surface", "sidewalk": "sidewalk", "terrain": "terrain", "building": "manmade",
    "fence": "manmade", "pole": "manmade", "traffic sign": "manmade", "vegetation": "vegetation",
    "trunk": "vegetation",
}  # fmt: skip
"""SemanticKITTI's classes in the world's words; `other vehicle` and `other ground` have none."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """One scan, real or not.

    Attributes:
        points: (N, 3) float32 [m], x forward.
        intensity: (N,) float32 in [0, 1].
        ring: (N,) beam number.
        labels: (N,) uint8 class of the world, 255 unknown; None where there is no ground truth.
    """

    points: Array
    intensity: Array
    ring: Array
    labels: Array | None = None

    def without_ego(self) -> Cloud:
        """Return the scan without what is nearer than the recording car's own body."""
        far = np.linalg.norm(self.points, axis=1) > EGO_M
        labels = None if self.labels is None else self.labels[far]
        return Cloud(self.points[far], self.intensity[far], self.ring[far], labels)


def main() -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = measure(args.scenes or SCENES, args.out)
    report(result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if all(result["checks"].values()) else 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that `bench/world.py` has too."""
    parser.add_argument("--scenes", type=int, help="only the first scenes of a split")
    parser.add_argument("--out", type=Path, help="folder for pictures of both; they must not be passed on")


def nuscenes_shares() -> Array:
    """Return (15,) the share of each class in nuScenes-lidarseg, from config/nuscenes_shares.yaml; they sum to 1."""
    table = yaml.safe_load(share_file("config/nuscenes_shares.yaml").read_text())["categories"]
    names, counts = load_class_set("world").names, np.zeros(len(Label))
    for row in table.values():
        counts[names.index(row["class"])] += row["points"]
    return np.asarray(counts / counts.sum())


def measure(scenes: int, out: Path | None = None) -> dict[str, Any]:
    """Compare the world's scans with real ones; return figures and checks."""
    pairs = {
        "32 beams": (list(ours("val", scenes)), real_nuscenes(), "nuScenes"),
        "64 beams": (list(ours("val", max(2, scenes // 5), rig="unseen")), real_kitti(), "KITTI, SemanticKITTI"),
    }
    sheets = {}
    for name, (world, real, source) in pairs.items():
        sheets[name] = {"world": figures(world), "real": figures(real) if real else None, "source": source}
        if out is not None and real:
            out.mkdir(parents=True, exist_ok=True)
            save_png(out / f"realism_{name.replace(' ', '_')}.png", picture(name, world, real, source))
    share = _shares(pairs["32 beams"][0])
    result = {"sheets": sheets, "shares": _table(share, nuscenes_shares()), "semantickitti": _semantickitti()}
    wrong = [name for name, row in result["shares"].items() if not LOW <= row["ratio"] <= HIGH]
    says = f"each class has {LOW:g} to {HIGH:g} times its share in nuScenes" + (
        f" (not {', '.join(wrong)})" * bool(wrong)
    )
    return {**result, "checks": {says: not wrong}}


def ours(split: str, scenes: int, rig: str | None = None) -> Iterable[Cloud]:
    """Yield two key frames of each of a split's first scenes, seen with the split's sensors or with another rig."""
    config = SPLITS[split].config
    if rig is not None:
        from clip2scene_training.world.rigs import with_rig

        config = with_rig(config, rig)
    for seed in SPLITS[split].seeds[:scenes]:
        drive = Drive(seed, config)
        for key in (1, 4):
            frame = drive.frame(key * EVERY)
            yield Cloud(frame.scan.points, frame.scan.intensity, frame.scan.ring, frame.labels).without_ego()


def real_nuscenes() -> list[Cloud]:
    """Return the nuScenes scan, turned so that x is ahead, or nothing where it is not at hand."""
    if not (DATA / NUSCENES).is_file():
        return []
    rows = np.fromfile(DATA / NUSCENES, np.float32).reshape(-1, 5)
    points = np.column_stack([rows[:, 1], -rows[:, 0], rows[:, 2]])
    return [Cloud(points, rows[:, 3] / 255, rows[:, 4].astype(int)).without_ego()]


def real_kitti() -> list[Cloud]:
    """Return the scans of a 64-beam sensor that are at hand."""
    paths = [DATA / name for name in (*KITTI, f"{SEMANTICKITTI}.bin") if (DATA / name).is_file()]
    return [Cloud(p, i, _rings(p)).without_ego() for p, i in (read_velodyne(path) for path in paths)]


def _rings(points: Array) -> Array:
    """Return (N,) ring 0 lowest: KITTI stores ring after ring from the top, each from straight ahead round."""
    azimuth = np.arctan2(points[:, 1], points[:, 0]) % (2 * np.pi)
    ring = np.cumsum(np.concatenate([[False], np.diff(azimuth) < -np.pi]))
    return np.asarray(ring.max() - ring)


def _semantickitti() -> dict[str, float] | None:
    """Return the class shares of the one labelled SemanticKITTI scan in percent, None where it is not at hand."""
    path = DATA / f"{SEMANTICKITTI}.label"
    if not path.is_file():
        return None
    kitti, names = load_class_set("semantickitti"), load_class_set("world").names
    lookup = np.full(1 << 16, UNKNOWN)
    for raw, which in kitti.benchmark_ids.items():
        if kitti.names[which] in MERGED:
            lookup[raw] = names.index(MERGED[kitti.names[which]])
    labels = lookup[np.fromfile(path, np.uint32) & 0xFFFF]
    counts = np.bincount(labels[labels != UNKNOWN], minlength=len(Label))
    return dict(zip(names, (100 * counts / counts.sum()).round(3).tolist(), strict=True))


def figures(clouds: list[Cloud]) -> dict[str, Any]:
    """Return percentiles of range, incidence and intensity, and returns per ring and scan."""
    values = quantities(clouds)
    rings = np.mean([np.bincount(c.ring, minlength=max(d.ring.max() for d in clouds) + 1) for c in clouds], axis=0)
    return {
        "scans": len(clouds),
        "returns": round(float(np.mean([len(c.points) for c in clouds]))),
        **{name: np.percentile(v, PERCENTILES).round(4).tolist() for name, v in values.items()},
        "rings": rings.round().astype(int).tolist(),
    }


def quantities(clouds: list[Cloud]) -> dict[str, Array]:
    """Return all points' range [m] and intensity, and the incidence [deg] of some."""
    rng = np.random.default_rng(3)
    angles = []
    for cloud in clouds:
        some = rng.permutation(len(cloud.points))[: max(500, SAMPLE // len(clouds) * 4)]
        around = neighbourhood(cloud.points, cloud.intensity, some)
        rays = around.points / np.linalg.norm(around.points, axis=1, keepdims=True)
        lies = shape(around.near)
        cosine = np.abs(np.einsum("qi,qi->q", lies["normal"], rays))[lies["linearity"] < LINE]
        angles.append(np.degrees(np.arccos(np.clip(cosine, 0, 1))))
    return {
        "range_m": np.concatenate([np.linalg.norm(c.points, axis=1) for c in clouds]),
        "incidence_deg": np.concatenate(angles),
        "intensity": np.concatenate([c.intensity for c in clouds]),
    }


def _shares(clouds: list[Cloud]) -> Array:
    counts = np.sum([np.bincount(c.labels, minlength=len(Label)) for c in clouds if c.labels is not None], axis=0)
    return np.asarray(counts / counts.sum())


def _table(share: Array, there: Array) -> dict[str, dict[str, float]]:
    return {
        name: {"percent": 100 * float(s), "nuscenes_percent": 100 * float(n), "ratio": float(s / n)}
        for name, s, n in zip(load_class_set("world").names, share, there, strict=True)
    }


def report(result: dict[str, Any]) -> None:
    """Print the tables."""
    for name, sheet in result["sheets"].items():
        _report_sheet(name, sheet)
    kitti = result["semantickitti"]
    print(f"{'share of points, %':22} {'world':>8} {'nuScenes':>9} {'ratio':>6}   one SemanticKITTI scan")
    for name, row in result["shares"].items():
        other = "" if kitti is None else f"{kitti[name]:10.2f}"
        mark = "" if LOW <= row["ratio"] <= HIGH else "  <- outside"
        print(f"{name:22} {row['percent']:8.3f} {row['nuscenes_percent']:9.3f} {row['ratio']:6.2f} {other}{mark}")
    print()
    for says, passed in result["checks"].items():
        print(f"{'ok  ' if passed else 'FAIL'} {says}")


def _report_sheet(name: str, sheet: dict[str, Any]) -> None:
    world, real = sheet["world"], sheet["real"]
    print(f"{name}: {world['scans']} scans of the world, {world['returns']} returns each")
    if real is None:
        print(f"  no real scan of {sheet['source']} in ../shared/data: nothing to compare with")
    else:
        print(f"  {real['scans']} of {sheet['source']}, {real['returns']} returns each")
    print(f"  {'percentile':16}" + "".join(f"{p:>9}" for p in PERCENTILES))
    for quantity in ("range_m", "incidence_deg", "intensity"):
        for who, values in (("world", world), ("real", real)):
            if values is not None:
                print(f"  {quantity:10.10}{who:>6}" + "".join(f"{v:9.2f}" for v in values[quantity]))
    for who, values in (("world", world), ("real", real)):
        if values is not None:
            print(f"  returns per ring, {who}: " + " ".join(map(str, values["rings"])))
    print()


def picture(name: str, world: list[Cloud], real: list[Cloud], source: str) -> Array:
    """Return histograms of both, one above the other, and a scan of each from above, coloured by height."""
    ours_, theirs = quantities(world), quantities(real)
    spans = {"range_m": (0.0, 80.0), "incidence_deg": (0.0, 90.0), "intensity": (0.0, 1.0 if "64" in name else 0.4)}
    panels = [_histogram(q, ours_[q], theirs[q], span) for q, span in spans.items()]
    beams = int(max(c.ring.max() for c in (*world, *real))) + 1
    rings = (np.concatenate([c.ring for c in clouds]) for clouds in (world, real))
    panels.append(_histogram("ring", *rings, (0.0, float(beams)), beams))
    top = np.vstack([np.hstack(panels[:2]), np.hstack(panels[2:])])
    middle = [world[len(world) // 2], world[-1], real[0]]
    views = [_from_above(c, top.shape[1] // 3) for c in middle]
    bottom = np.hstack(views)
    sheet = Image.new("RGB", (top.shape[1], 40 + top.shape[0] + 30 + bottom.shape[0]), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((12, 8), f"{name}: world (blue) and {source} (orange)", fill=TEXT, font=font(20))
    sheet.paste(Image.fromarray(top), (0, 40))
    for i, title in enumerate(("world", "world", f"real: {source}")):
        draw.text((12 + i * top.shape[1] // 3, 44 + top.shape[0]), title, fill=TEXT, font=font(18))
    sheet.paste(Image.fromarray(bottom), (0, 70 + top.shape[0]))
    return np.asarray(sheet)


def _histogram(title: str, world: Array, real: Array, span: tuple[float, float], bins: int = 60) -> Array:
    """Return a panel with both distributions, each with area one."""
    width, height, left, base = 620, 240, 30, 205
    panel = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(panel)
    bars = [np.histogram(np.clip(v, *span), bins=bins, range=span)[0] / max(1, len(v)) for v in (world, real)]
    top = max(float(np.sort(b)[-2]) for b in bars) or 1.0
    for bar, color in zip(bars, COLORS, strict=True):
        x = left + (np.arange(bins) + 0.5) * (width - 2 * left) / bins
        y = base - np.minimum(bar / top, 1.0) * (base - 40)
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=color, width=3)
    draw.line((left, base, width - left, base), fill=RULE)
    draw.text((left, 8), title, fill=TEXT, font=font(17))
    draw.text((left, base + 8), f"{span[0]:g}", fill=FAINT, font=font(15))
    draw.text((width - left, base + 8), f"{span[1]:g}", fill=FAINT, font=font(15), anchor="ra")
    return np.asarray(panel)


def _from_above(cloud: Cloud, size_px: int) -> Array:
    """Return a scan from above, by height in 16 steps from blue to yellow."""
    step = np.clip((cloud.points[:, 2] + 2.5) / 6 * 16, 0, 15).astype(np.uint8)
    ramp = np.clip(np.arange(256) / 15, 0, 1)[:, None]
    palette = (np.array([60, 110, 230]) * (1 - ramp) + np.array([255, 220, 80]) * ramp).astype(np.uint8)
    return bird_view(cloud.points, step, legible(palette), size_px, 40.0)


if __name__ == "__main__":
    sys.exit(main())
