"""report.html: a report at a glance, in one file that asks nothing of the network and runs no script."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Array
from clip2scene_ros.report.charts import bars, chart, heat_table
from clip2scene_ros.report.style import STYLE

PICTURE_PX, PICTURE_QUALITY = 1600, 88
"""Pictures are reduced to this width and stored as JPEG: a page of few megabytes."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""A browser's own guard that the page loads nothing and runs nothing, whatever a name in the report may hold."""

DASH = "\u2013"
"""Stands where there is no value."""

Report = Mapping[str, Any]
Pictures = Mapping[str, "Path | Array"]


def write_page(path: Path, report: Report, pictures: Pictures | None = None) -> None:
    """Write `page` to a file, whole or not at all."""
    with whole_file(path) as stream:
        stream.write(page(report, pictures).encode())


def page(report: Report, pictures: Pictures | None = None) -> str:
    """Return a report as a self-contained HTML page.

    Args:
        report: what `build_report` or `read_report` returns.
        pictures: caption -> file of a picture, or (H, W, 3) uint8 RGB.
    """
    mean = percent(report["miou"])
    parts = [
        _headline(report, mean),
        section("IoU per class", _absent(report), bars(_class_rows(report))),
        _groups(report),
        section("Curves", "", f'<div class="charts">{"".join(chart(t, c) for t, c in report["curves"].items())}</div>')
        if report["curves"]
        else "",
        _confusion(report),
        *(section(title, "", _table(table)) for title, table in report["tables"].items()),
        section("Pictures", "", "".join(figure(c, p) for c, p in pictures.items())) if pictures else "",
        section(
            "Made by", "Select the box to copy the command.", f"<pre>{escape(report['command'])}</pre>", _facts(report)
        ),
    ]
    return document(f"mIoU {mean}, clip2scene report", parts)


def document(title: str, parts: Sequence[str], style: str = "") -> str:
    """Return a self-contained HTML page of some parts; `style` is added to the look that all pages share."""
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style>"
    )
    body = "\n".join(part for part in parts if part)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n'


def _headline(report: Report, mean: str) -> str:
    classes, latency = len(report["iou"]), report["latency_ms"]
    tiles = {
        "accuracy": f"{percent(report['accuracy'])} %",
        "classes scored": f"{classes - len(report['absent'])} of {classes}",
        "scenes": f"{len(report['scenes']):,}",
        "scans": f"{report['frames']:,}",
        "points": _short_count(report["points"]),
    }
    if latency.get("p50") is not None:
        tiles["latency p50 / p95"] = f"{latency['p50']:.0f} / {latency['p95']:.0f} ms"
    notes = "".join(f"<p>{escape(str(note))}</p>" for note in report["notes"])
    return (
        f"<header><h1><small>mIoU</small>{mean}</h1>"
        '<p class="soft">Percent, over all points at once; the mean of the classes\' intersection over union.</p>'
        + (f'<div class="notes">{notes}</div>' if notes else "")
        + f'<dl class="tiles">{"".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in tiles.items())}</dl></header>'
    )


def _absent(report: Report) -> str:
    """Return in words which classes have no IoU, and which have 0 for being predicted where none is."""
    names, invented = (
        report["absent"],
        [name for name, value, points in _class_rows(report) if value == 0 and not points],
    )
    text = "Every class occurs or is predicted; all count in the mean."
    if names:
        text = (
            f"{len(names)} of {len(report['iou'])} classes neither occur nor are predicted, "
            f"and are left out of the mean: {', '.join(names)}."
        )
    return text + (f" Predicted though they never occur, and so 0: {', '.join(invented)}." if invented else "")


def _class_rows(report: Report) -> list[tuple[str, float | None, int]]:
    points = _matrix(report).sum(axis=1)
    return [(name, value, int(count)) for (name, value), count in zip(report["iou"].items(), points, strict=True)]


def _groups(report: Report) -> str:
    groups = {**report["groups"], "all": report}
    if len(groups) == 1:
        return ""
    head = "".join(f'<th class="n" scope="col">{escape(name)}</th>' for name in groups)
    rows = [
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f'<td class="n">{percent(group["iou"][name])}</td>' for group in groups.values())
        + "</tr>"
        for name in report["iou"]
    ]
    mean = "".join(f'<td class="n">{percent(group["miou"])}</td>' for group in groups.values())
    points = "".join(f'<td class="n soft">{_short_count(group["points"])}</td>' for group in groups.values())
    table = (
        f'<table class="grid"><thead><tr><th>class</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
        f'<tfoot><tr><th scope="row">mIoU</th>{mean}</tr><tr><th scope="row">points</th>{points}</tr></tfoot></table>'
    )
    return section(
        "IoU by group of points", "Percent. A dash: the class neither occurs nor is predicted there.", wide(table)
    )


def _confusion(report: Report) -> str:
    why = "A row is a true class: what its points were called, in percent of them. Blue is right, orange is mistaken."
    return section("Confusion", why, wide(heat_table(report["confusion"]["classes"], _matrix(report))))


def _table(table: Mapping[str, Any]) -> str:
    numeric = [
        all(isinstance(row[i], float | int | type(None)) for row in table["rows"]) for i in range(len(table["columns"]))
    ]
    kinds = [' class="n"' if is_number else "" for is_number in numeric]
    head = "".join(f"<th{kind}>{escape(str(name))}</th>" for name, kind in zip(table["columns"], kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{show(v)}</td>" for v, k in zip(row, kinds, strict=True)) + "</tr>"
        for row in table["rows"]
    )
    return wide(f'<table class="grid"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def _facts(report: Report) -> str:
    return fact_table(
        [
            ("data SHA-256", report["data_sha256"] or None),
            ("weights SHA-256", report["weights_sha256"] or None),
            ("world", report["world"]),
            ("seeds", report["seeds"] or None),
            *report["settings"].items(),
            ("latency [ms]", report["latency_ms"]),
            ("versions", report["versions"]),
            ("hardware", report["hardware"]),
        ]
    )


def fact_table(facts: Sequence[tuple[str, Any]]) -> str:
    """Return names and values, one below the other."""
    rows = "".join(f'<tr><th scope="row">{escape(str(k))}</th><td>{show(v)}</td></tr>' for k, v in facts)
    return f'<div class="wide"><table class="facts">{rows}</table></div>'


def figure(caption: str, picture: Path | Array) -> str:
    """Return a picture, inside the page, below its caption."""
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else Image.open(picture)
    image = image.convert("RGB")
    if image.width > PICTURE_PX:
        image = image.resize((PICTURE_PX, round(image.height * PICTURE_PX / image.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=PICTURE_QUALITY)
    data, text = base64.b64encode(buffer.getvalue()).decode(), escape(caption)
    size = f'width="{image.width}" height="{image.height}"'
    return (
        f'<figure><figcaption>{text}</figcaption><img alt="{text}" {size} src="data:image/jpeg;base64,{data}"></figure>'
    )


def section(title: str, why: str, *content: str) -> str:
    """Return a part of a page: heading, a line that says how to read it, and markup."""
    words = f'<p class="soft">{escape(why)}</p>' if why else ""
    return f"<section><h2>{escape(title)}</h2>{words}{''.join(content)}</section>"


def wide(table: str) -> str:
    """Return a table that scrolls on its own where the screen is narrow."""
    return f'<div class="wide">{table}</div>'


def _matrix(report: Report) -> Array:
    return np.array(report["confusion"]["matrix"], dtype=np.int64)


def percent(value: float | None) -> str:
    """Return a share in percent, a dash where there is none."""
    return DASH if value is None else f"{100 * value:.1f}"


def _short_count(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1_000_000 else f"{count:,}"


def show(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return a value as escaped text."""
    if value is None:
        return DASH
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{escape(str(key))} {show(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(show, value))
    return escape(value if isinstance(value, str) else json.dumps(value))
