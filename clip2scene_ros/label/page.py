"""The page that `clip2scene label` leaves: is it calibration, words or the teacher that is at fault?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from clip2scene_ros.drawing import legible
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_ros.label.account import Account, Example
from clip2scene_ros.label.pictures import birds, shots
from clip2scene_ros.report.alignment import alignment_section
from clip2scene_ros.report.charts import bars
from clip2scene_ros.report.page import DASH, document, fact_table, figure, percent, section, wide
from clip2scene_ros.report.style import PICTURES

Report = Mapping[str, Any]
STYLE = (
    PICTURES
    + """
.findings { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 14px;
  margin-top: 18px; }
.findings > div { background: var(--card); border: 1px solid var(--rule); border-top: 4px solid var(--soft);
  border-radius: 10px; padding: 12px 16px; }
.findings .good { border-top-color: var(--line-2); } .findings .look { border-top-color: var(--line-4); }
.findings .bad { border-top-color: var(--line-1); }
.findings h2 { text-transform: capitalize; } .findings h2 small { color: var(--soft); font-weight: 500; float: right;
  text-transform: none; }
.grid th + td { padding-left: 14px; }
.shares .bar { min-width: 50px; }
@media (min-width: 561px) { .tiles { grid-template-columns: repeat(4, 1fr); } }
"""
)
STATES = {"good": "no fault found", "look": "worth a look", "bad": "at fault"}


def write_label_page(path: Path, report: Report, account: Account) -> None:
    """Write `label_page` to a file, whole or not at all."""
    with whole_file(path) as stream:
        stream.write(label_page(report, account).encode())


def label_page(report: Report, account: Account) -> str:
    """Return a labelled drive as a self-contained HTML page.

    Args:
        report: what `report.build_label_report` made of the account.
        account: holds the frames that are shown, and the classes' colours.
    """
    parts = [
        _headline(report),
        _findings(report["findings"]),
        _truth(report["score"]),
        _calibration(report),
        _pictures(account),
        _classes(report, account),
        section(
            "Made by", "Select the box to copy the command.", f"<pre>{escape(report['command'])}</pre>", _facts(report)
        ),
    ]
    return document(f"{report['conclusion']} clip2scene label", parts, STYLE)


def _headline(report: Report) -> str:
    points, agree = report["points"], report["agreement"]
    tiles = {
        "scans labelled": f"{report['frames']:,}",
        "images looked at": f"{report['images']:,}",
        "points seen": f"{percent(points['seen'])} %",
        "hidden behind others": f"{percent(points['hidden'])} %",
        "sky leak": f"{percent(points['sky_leak'])} %",
        "cameras agree": _with_unit(agree["cameras"]),
        "sweeps agree": _with_unit(agree["sweeps"]),
        "seconds an image": DASH if report["seconds_per_image"] is None else f"{report['seconds_per_image']:.2g}",
    }
    notes = "".join(f"<p>{escape(note)}</p>" for note in report["notes"])
    return (
        f'<header><h1 class="words">{escape(report["conclusion"])}</h1>'
        f'<p class="soft">{escape(report["teacher"])}.</p>'
        + (f'<div class="notes">{notes}</div>' if notes else "")
        + f'<dl class="tiles">{"".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in tiles.items())}</dl></header>'
    )


def _findings(found: Sequence[Mapping[str, Any]]) -> str:
    boxes = "".join(
        f'<div class="{each["state"]}"><h2>{escape(each["about"])}<small>{STATES[each["state"]]}</small></h2>'
        + "".join(f"<p>{escape(sentence)}</p>" for sentence in each["sentences"])
        + "</div>"
        for each in found
    )
    return f'<div class="findings">{boxes}</div>'


def _truth(score: Report | None) -> str:
    if score is None:
        return ""
    rows = [(name, value, points) for (name, value), points in zip(score["iou"].items(), score["points"], strict=True)]
    why = (
        f"mIoU {percent(score['miou'])} over the points that a camera sees, {percent(score['precision'])} % of the "
        f"labels given to them are right, {percent(score['coverage'])} % of them got one."
    )
    return section("Against the bag's ground truth", why, bars(rows))


def _calibration(report: Report) -> str:
    return alignment_section("Calibration", report["alignment"])


def _pictures(account: Account) -> str:
    swatches = "".join(
        f'<li><i style="background:{_colour(account, i)}"></i>{escape(name)}</li>'
        for i, name in enumerate(account.class_set.names)
        if account.points[i] or account.pixels.winners[i]
    )
    swatches += '<li><i style="background:#222"></i>dark: sky and the like, or unknown</li>'
    frames = "".join(_frame(number, each, account) for number, each in enumerate(account.examples.items, 1))
    why = (
        "Upper pictures: what the teacher sees in every pixel. Lower ones: what the points got. Right above and wrong "
        "below is calibration; wrong above is words or teacher."
    )
    return section("Pictures", why, f'<ul class="swatches">{swatches}</ul>{frames}')


def _frame(number: int, example: Example, account: Account) -> str:
    cells = []
    for shot in shots(example, account.class_set):
        name = shot.camera.replace("_", " ").lower()
        above = f'<p class="soft">{escape(name)}: no answer</p>' if shot.pixels is None else figure(name, shot.pixels)
        cells.append(f"<div>{above}{figure('points', shot.points)}</div>")
    scans = "".join(figure(name, picture) for name, picture in birds(example, account.class_set, example.truth).items())
    frame = example.labelled.frame
    title = f"Scan {number}, {len(frame.scan):,} points, stamp {frame.scan.stamp_ns} ns"
    return f'<h3>{title}</h3><div class="shots">{"".join(cells)}</div><div class="shots">{scans}</div>'


def _classes(report: Report, account: Account) -> str:
    rows = []
    for i, (name, each) in enumerate(report["classes"].items()):
        bar = f'<span class="bar"><i style="width:{100 * (each["points"] or 0):.1f}%"></i></span>'
        rows.append(
            f'<tr><th scope="row"><i class="key" style="background:{_colour(account, i)}"></i>{escape(name)}</th>'
            f'<td>{bar}</td><td class="n">{percent(each["points"])}</td><td class="n">{percent(each["pixels"])}</td>'
            f'<td class="n soft">{percent(each["confidence"])}</td></tr>'
        )
    rows.append(
        f'<tr><th scope="row"><i class="key" style="background:#222"></i>sky and the like</th><td></td>'
        f'<td class="n">{DASH}</td><td class="n">{percent(report["absorbed_pixels"])}</td>'
        f'<td class="n">{DASH}</td></tr>'
    )
    head = (
        '<tr><th>class</th><th></th><th class="n">points %</th><th class="n">pixels %</th>'
        '<th class="n">confidence %</th></tr>'
    )
    table = f'<table class="bars shares"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'
    why = "Of the labelled points, of all pixels, and how sure its labels are on average."
    return section("Classes", why, wide(table))


def _facts(report: Report) -> str:
    facts = {key: report[key] for key in ("points", "agreement", "left_out", "data_sha256", "peak_memory_mb")}
    return fact_table(
        [*facts.items(), *report["settings"].items(), *((k, report[k]) for k in ("versions", "hardware"))]
    )


def _colour(account: Account, class_id: int) -> str:
    palette: Array = legible(account.class_set.palette)
    return "#" + "".join(f"{int(value):02x}" for value in palette[min(class_id, UNKNOWN)])


def _with_unit(value: float | None) -> str:
    return DASH if value is None else f"{percent(value)} %"
