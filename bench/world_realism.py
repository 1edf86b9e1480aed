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
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import yaml
from PIL import Image, ImageDraw
from world_clouds import Cloud, ours, real_kitti, real_nuscenes, semantickitti
from world_features import neighbourhood, shape

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.drawing import BACKGROUND, FAINT, RULE, TEXT, font, legible
from clip2scene_ros.frame import Array
from clip2scene_ros.render import bird_view, save_png
from clip2scene_ros.share import share_file
from clip2scene_training.world import Label

LOW, HIGH = 0.3, 3.0
"""A class's share of the points over nuScenes' own lies within these."""
PERCENTILES = (1, 10, 25, 50, 75, 90, 99)
SCENES, SAMPLE = 30, 4000
"""Scenes of val; points whose incidence is estimated."""
LINE = 0.95
"""Neighbours that lie this much on a line span no plane."""
COLORS = ((90, 170, 255), (255, 160, 70))


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
    result = {"sheets": sheets, "shares": _table(share, nuscenes_shares()), "semantickitti": semantickitti()}
    wrong = [name for name, row in result["shares"].items() if not LOW <= row["ratio"] <= HIGH]
    says = f"each class has {LOW:g} to {HIGH:g} times its share in nuScenes" + (
        f" (not {', '.join(wrong)})" * bool(wrong)
    )
    return {**result, "checks": {says: not wrong}}


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
