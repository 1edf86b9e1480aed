"""The page that `clip2scene calibrate --check` leaves: overlays, alignment scores, the likely cause of a misfit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clip2scene_ros import __version__
from clip2scene_ros.alignment_fit import SLIPPED
from clip2scene_ros.calibrate.check import CameraCheck
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Array, View
from clip2scene_ros.label.page import STYLE
from clip2scene_ros.render import label_view
from clip2scene_ros.report.alignment import alignment_entry, alignment_section
from clip2scene_ros.report.evaluation import hardware
from clip2scene_ros.report.format import number
from clip2scene_ros.report.page import document, fact_table, figure, section, wide
from clip2scene_ros.student.checkpoint import current_versions

FORMAT = "clip2scene-calibration/1"
PICTURE_PX = 640
NEAREST_M, FARTHEST_M = 3.0, 60.0
COLOURS = 250
"""Shades between the nearest and the farthest point; ids above are none."""

Report = Mapping[str, Any]


def build_check_report(
    conclusion: str,
    checks: Sequence[CameraCheck],
    wrong_size: Mapping[str, tuple[int, int]],
    *,
    command: str,
    data_sha256: str,
) -> dict[str, Any]:
    """Return report.json: see docs/calibration.md."""
    return {
        "format": FORMAT,
        "conclusion": conclusion,
        "cameras": {
            each.name: {
                "state": each.state,
                "cause": each.cause.kind if each.state == SLIPPED else None,
                "in_words": each.in_words,
                "value": list(each.cause.value) if isinstance(each.cause.value, tuple) else each.cause.value,
                "stands_out": {kind: number(value) for kind, value in each.ranking.items()},
                "alignment": alignment_entry(each.judgement),
            }
            for each in checks
        },
        "wrong_size": {name: list(size) for name, size in wrong_size.items()},
        "data_sha256": data_sha256,
        "versions": {"clip2scene_ros": __version__, "numpy": np.__version__, **current_versions()},
        "hardware": hardware(),
        "command": command,
    }


def write_check_page(path: Path, report: Report, checks: Sequence[CameraCheck]) -> None:
    """Write the page to a file, whole or not at all."""
    with whole_file(path) as stream:
        stream.write(check_page(report, checks).encode())


def check_page(report: Report, checks: Sequence[CameraCheck]) -> str:
    """Return the check of a drive's calibration as a self-contained HTML page.

    Args:
        report: what `build_check_report` made.
        checks: the same, with a view of each camera to draw.
    """
    facts = {key: report[key] for key in ("data_sha256", "versions", "hardware")}
    parts = [
        f'<header><h1 class="words">{escape(report["conclusion"])}</h1></header>',
        _findings(report),
        _pictures(checks),
        alignment_section("Alignment", {name: each["alignment"] for name, each in report["cameras"].items()}),
        _ranking(report),
        section("Made by", "", f"<pre>{escape(report['command'])}</pre>", fact_table(list(facts.items()))),
    ]
    return document(f"{report['conclusion']} clip2scene calibrate", parts, STYLE)


def depth_view(view: View, points: Array, width_px: int = PICTURE_PX, placed: Array | None = None) -> Array:
    """Return a view, `width_px` wide, with the points that it sees: near ones red, far ones blue.

    Args:
        view: the image.
        points: (N, 3) at the scan's stamp [m].
        width_px: of the picture.
        placed: (4, 4) camera_from_lidar instead of the view's own.
    """
    view = view if placed is None else replace(view, camera_from_lidar=placed)
    with np.errstate(invalid="ignore"):
        distance = np.linalg.norm(points, axis=1)
        share = np.log(np.maximum(distance, NEAREST_M) / NEAREST_M) / np.log(FARTHEST_M / NEAREST_M)
    shade = np.where(np.isfinite(share), np.clip(share, 0.0, 1.0) * COLOURS, 255).astype(np.uint8)
    return label_view(view, points, shade, _palette(), width_px)


def _palette() -> Array:
    hue = np.clip(np.arange(256) / COLOURS, 0.0, 1.0) * 170.0  # red over yellow and green to blue
    hsv = np.stack([hue, np.full(256, 230.0), np.full(256, 255.0)], axis=1).astype(np.uint8)
    colours: Array = np.asarray(Image.fromarray(hsv[None], "HSV").convert("RGB"))[0]
    return colours


def _findings(report: Report) -> str:
    look = {"fits": "good", "slipped": "bad", "unknown": "look"}
    boxes = [
        f'<div class="{look[each["state"]]}"><h2>{escape(name.replace("_", " "))}'
        f"<small>{each['state']}</small></h2><p>{escape(each['in_words'])}</p></div>"
        for name, each in report["cameras"].items()
    ]
    boxes += [
        f'<div class="bad"><h2>{escape(name.replace("_", " "))}<small>slipped</small></h2>'
        f"<p>its images are {size[0]} x {size[1]} px, not as calibrated</p></div>"
        for name, size in report["wrong_size"].items()
    ]
    return f'<div class="findings">{"".join(boxes)}</div>'


def _pictures(checks: Sequence[CameraCheck]) -> str:
    cells = []
    for each in checks:
        if each.view is None or each.points is None:
            continue
        cells.append(f"<div>{figure(each.name, depth_view(each.view, each.points))}")
        if each.mended is not None:
            camera, placed = each.mended
            better = replace(each.view, camera=camera)
            cells.append(figure("if that were the cause", depth_view(better, each.points, placed=placed)))
        cells.append("</div>")
    why = "Points by distance, near ones red, far ones blue: poles and cars' outlines show at once what does not fit."
    return section("Pictures", why, f'<div class="shots">{"".join(cells)}</div>') if cells else ""


def _ranking(report: Report) -> str:
    kinds = sorted({kind for each in report["cameras"].values() for kind in each["stands_out"]})
    head = "".join(f'<th class="n">{escape(kind)}</th>' for kind in kinds)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f'<td class="n">{each["stands_out"].get(kind) or 0.0:.3f}</td>' for kind in kinds)
        + "</tr>"
        for name, each in report["cameras"].items()
    )
    why = (
        "By how much the score under the best cause of a kind stands out from that of cameras turned beside it. Where "
        "the calibration stands out as far as any other, nothing speaks against it."
    )
    table = f'<table class="grid"><thead><tr><th>camera</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return section("Causes", why, wide(table))
