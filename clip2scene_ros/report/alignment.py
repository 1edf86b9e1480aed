"""The part of a page that tells how well every camera's calibration fits: a table, and a chart for each axis."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from clip2scene_ros.alignment import AXES
from clip2scene_ros.alignment_fit import ANGLES_DEG, Judgement
from clip2scene_ros.report.charts import chart
from clip2scene_ros.report.format import number
from clip2scene_ros.report.page import DASH, section, wide

SIGNS = {"yaw": "positive: to the left", "pitch": "positive: down", "roll": "positive: leaning right"}


def alignment_entry(found: Judgement) -> dict[str, Any]:
    """Return what a camera's views say of its calibration, in JSON's own types."""
    return {
        "state": found.state,
        "in_words": found.in_words(),
        "views": found.views,
        **{
            axis: {
                "turn_deg": number(float(found.turn_deg[i]), 2),
                "lead": number(float(found.lead[i]), 2),
                "curve": [[float(x), number(float(y))] for x, y in zip(ANGLES_DEG, found.curve[i], strict=False)],
            }
            for i, axis in enumerate(AXES)
        },
    }


def alignment_section(title: str, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the markup of camera name -> `alignment_entry`."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(entry["in_words"])}</td>'
        + "".join(f'<td class="n">{_degrees(entry[axis]["turn_deg"])}</td>' for axis in AXES)
        + f'<td class="n soft">{entry["views"]}</td></tr>'
        for name, entry in entries.items()
    )
    best = "".join(f'<th class="n">best {axis}</th>' for axis in AXES)
    head = f'<tr><th>camera</th><th>verdict</th>{best}<th class="n">views</th></tr>'
    table = wide(f'<table class="grid"><thead>{head}</thead><tbody>{rows}</tbody></table>')
    charts = "".join(
        chart(
            f"Alignment score when a camera is turned in {axis}; 0 is the given calibration",
            {
                "x": f"{axis} [deg], {SIGNS[axis]}",
                "y": "score",
                "lines": {name: entry[axis]["curve"] for name, entry in entries.items() if entry[axis]["curve"]},
            },
        )
        for axis in AXES
    )
    why = (
        "How well edges of depth in the scan lie on edges of brightness in the image (0 to 1; compare along a line "
        "only). A peak at 0 fits; one beside it says by how much the camera is really turned from its calibration; a "
        "line without a peak says nothing. A camera in another place than calibrated looks turned by what fits best."
    )
    return section(title, why, table, f'<div class="charts">{charts}</div>')


def _degrees(value: float | None) -> str:
    return DASH if value is None else f"{round(value, 1) + 0.0:+.1f}\N{DEGREE SIGN}"
