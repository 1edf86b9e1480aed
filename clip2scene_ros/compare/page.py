"""The page that `clip2scene compare` leaves: who is better, by which measure, on which classes, and where."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.compare.account import Account, Look
from clip2scene_ros.compare.measures import Findings, Measure
from clip2scene_ros.compare.pictures import (
    COLOURS,
    DIFFERENT,
    KINDS,
    bird_pictures,
    camera_pictures,
    most_often,
)
from clip2scene_ros.compare.words import DASH, difference, value
from clip2scene_ros.drawing import legible
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Array
from clip2scene_ros.report.charts import chart, heat_table
from clip2scene_ros.report.page import document, fact_table, figure, percent, section, wide
from clip2scene_ros.report.style import PICTURES

Report = Mapping[str, Any]
STYLE = (
    PICTURES
    + """
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 12px;
  margin-top: 12px; }
.two figure + figure { margin-top: 0; }
.a { color: var(--line-0); font-weight: 600; } .b { color: var(--line-1); font-weight: 600; }
.kinds { position: static; justify-content: flex-end; margin: 0; }
td.v { white-space: nowrap; }
"""
)


def write_compare_page(path: Path, report: Report, found: Findings, account: Account) -> None:
    """Write `compare_page` to a file, whole or not at all."""
    with whole_file(path) as stream:
        stream.write(compare_page(report, found, account).encode())


def compare_page(report: Report, found: Findings, account: Account) -> str:
    """Return a comparison as a self-contained HTML page.

    Args:
        report: what `build_compare_report` made of the account.
        found: what was concluded.
        account: holds the scans that are shown, and the classes' colours.
    """
    parts = [
        _headline(report),
        _measures(found),
        _pictures(account),
        _classes(report, found, account),
        _between(report, account),
        _calibration(report),
        section(
            "Made by", "Select the box to copy the command.", f"<pre>{escape(report['command'])}</pre>", _facts(report)
        ),
    ]
    return document(f"{report['conclusion']} clip2scene compare", parts, STYLE)


def _headline(report: Report) -> str:
    names = "".join(
        f'<p><span class="{side.lower()}">{side}</span> {escape(each["path"])}: {escape(each["description"])}.</p>'
        for side, each in report["checkpoints"].items()
    )
    tiles = {
        "scans": f"{report['scans']:,}",
        "seconds": f"{report['duration_s']:.1f}",
        "A and B say the same": DASH
        if report["between"]["same"] is None
        else f"{percent(report['between']['same'])} %",
    }
    notes = "".join(f"<p>{escape(note)}</p>" for note in report["notes"])
    return (
        f'<header><h1 class="words">{escape(report["conclusion"])}</h1>{names}'
        + (f'<div class="notes">{notes}</div>' if notes else "")
        + f'<dl class="tiles">{"".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in tiles.items())}</dl></header>'
    )


def _measures(found: Findings) -> str:
    rows = []
    for name, each in found.measures.items():
        unit = "ms" if name == "latency" else "%"
        decides = ' <small class="soft">decides</small>' if name == found.gate else ""
        rows.append(f'<tr><th scope="row">{escape(each.title)} [{unit}]{decides}</th>{_cells(name, each)}</tr>')
    why = (
        "A and B labelled the same scans. B against A: the difference in points of a hundred, of latencies the "
        "quotient; in brackets its 95 % interval, by a paired bootstrap over blocks of scans. One is better only where "
        "the interval excludes no difference."
    )
    return section("Which is better?", why, _table("measure", rows))


def _cells(name: str, each: Measure) -> str:
    """Return values, difference and verdict as cells; why there is none in the last."""
    verdict = f'<span class="{each.better.lower()}">{each.verdict}</span>' if each.better else each.verdict
    verdict = f"{verdict}: {escape(each.why)}" if each.why else verdict
    numbers = "".join(f'<td class="n">{cell}</td>' for cell in (value(name, each.a), value(name, each.b)))
    kind = "" if each.why else ' class="v"'
    return f'{numbers}<td class="n">{difference(name, each)}</td><td{kind}>{verdict}</td>'


def _table(first: str, rows: list[str]) -> str:
    head = '<th class="n">A</th><th class="n">B</th><th class="n">B against A</th><th>verdict</th>'
    return wide(
        f'<table class="grid"><thead><tr><th>{first}</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _pictures(account: Account) -> str:
    looks = account.examples.looks
    if not looks:
        return section("Where they differ most", "A and B give every point of every scan the same class.")
    swatches = "".join(
        _swatch(_colour(account, i), name)
        for i, name in enumerate(account.class_set.names)
        if account.points[:, i].any() or account.truth[0, i].any()
    )
    truth = any(look.frame.labels is not None for look in looks)
    shown = {text: kind for text, kind in KINDS.items() if (kind == DIFFERENT) != truth}
    kinds = "".join(_swatch("#{:02x}{:02x}{:02x}".format(*COLOURS[kind]), text) for text, kind in shown.items())
    why = (
        "The scans on which A and B differ on most points, no two of one moment; of their cameras the one that sees "
        "most of it."
    )
    return section(
        "Where they differ most",
        why,
        f'<ul class="swatches">{swatches}</ul>',
        *(_look(look, account, f'<ul class="swatches kinds">{kinds}</ul>') for look in looks),
    )


def _look(look: Look, account: Account, kinds: str) -> str:
    cameras, birds = camera_pictures(look, account.class_set), bird_pictures(look, account.class_set)
    shots = "".join(figure(name, picture) for name, picture in cameras.items())
    above = "".join(figure(name, picture) for name, picture in birds.items())
    words = escape(most_often(look, account.class_set))
    return (
        f'<h3>Stamp {look.frame.scan.stamp_ns} ns</h3><p class="soft">{words}</p>'
        + (f'<div class="shots">{shots}</div>' if shots else "")
        + f'<div class="two">{above}</div>{kinds}'
    )


def _classes(report: Report, found: Findings, account: Account) -> str:
    rows, judged = [], {each.title: each for each in found.classes}
    taught = any(each["iou_with_teacher"] for each in report["classes"].values())
    for i, (name, each) in enumerate(report["classes"].items()):
        key = f'<i class="key" style="background:{_colour(account, i)}"></i>'
        shares = "".join(f'<td class="n soft">{percent(share)}</td>' for share in each["points"])
        agree = "".join(f'<td class="n">{percent(v)}</td>' for v in each["iou_with_teacher"] or []) if taught else ""
        cells = _cells("", judged[name]) if judged else ""
        rows.append(f'<tr><th scope="row">{key}{escape(name)}</th>{shares}{agree}{cells}</tr>')
    head = '<th class="n">A points</th><th class="n">B points</th>'
    head += '<th class="n">A with teacher</th><th class="n">B with teacher</th>' if taught else ""
    if judged:
        head += '<th class="n">A IoU</th><th class="n">B IoU</th><th class="n">B against A</th><th>verdict</th>'
    table = f'<table class="grid"><thead><tr><th>class</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    why = "Percent: share of the labelled points" + ("; IoU with the teacher's labels" if taught else "")
    why += "; IoU with the ground truth. Of twenty classes one differs by chance" if judged else ""
    return section("Classes", f"{why}.", wide(table))


def _between(report: Report, account: Account) -> str:
    names, matrix = [*account.class_set.names, "unknown"], np.array(report["between"]["matrix"], dtype=np.int64)
    used = [i for i in range(len(names)) if matrix[i].any() or matrix[:, i].any()]
    shown = np.concatenate([matrix[np.ix_(used, used)], np.zeros((len(used), 1), np.int64)], axis=1)
    why = "A row is a class of A's: what B calls its points, in percent of them. Blue is the same, orange is another."
    return section("What A calls so, B calls ...", why, wide(heat_table([names[i] for i in used], shown)))


def _calibration(report: Report) -> str:
    found = report["calibration"]
    if not found["against"]:
        return ""
    lines = {side: [row[:2] for row in found[side]] for side in "AB"}
    lines["as sure as right"] = [[0.0, 0.0], [1.0, 1.0]]
    axes = {"x": "probability", "y": "share that is right", "lines": lines}
    plot = chart(f"Points by probability, right being what {found['against']} says", axes)
    why = "Below the straight line a student is surer than it should be, above it less sure."
    return section("Calibration", why, f'<div class="charts">{plot}</div>')


def _facts(report: Report) -> str:
    facts = [(f"{side} SHA-256", each["sha256"]) for side, each in report["checkpoints"].items()]
    facts += [
        ("data SHA-256", report["data_sha256"]),
        ("world", report["world"]),
        ("teacher", report["teacher"] or None),
    ]
    facts += [(f"latency of {side} [ms]", each) for side, each in report["latency_ms"].items()]
    facts += [("blocks of scans", max(each["blocks"] for each in report["measures"].values()))]
    return fact_table([*facts, *report["settings"].items(), *((k, report[k]) for k in ("versions", "hardware"))])


def _swatch(colour: str, text: str) -> str:
    return f'<li><i style="background:{colour}"></i>{escape(text)}</li>'


def _colour(account: Account, class_id: int) -> str:
    palette: Array = legible(account.class_set.palette)
    return "#{:02x}{:02x}{:02x}".format(*(int(part) for part in palette[class_id]))
