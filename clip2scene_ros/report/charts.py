"""The drawings of report.html: bars, a confusion matrix as a heat table, curves as SVG. Text in, markup out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_ros.report.style import LINE_COLORS

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 22, 40
"""Size of a chart and its margins; text of 12 stays legible when a phone shows it at 3/4."""

MARKED = 40
"""Lines of at most so many points get a mark on each, with its values when pointed at."""

FILLED = 0.55
"""Cells of a heat table above this share are so strongly coloured that their text must be white."""


def bars(rows: Sequence[tuple[str, float | None, int]]) -> str:
    """Return a table of classes, a bar each: (name, IoU or None where absent, points)."""
    body = []
    for name, value, points in rows:
        bar = "" if value is None else f'<span class="bar"><i style="width:{100 * value:.1f}%"></i></span>'
        percent = "absent" if value is None else f"{100 * value:.1f}"
        body.append(
            f'<tr><th scope="row">{escape(name)}</th><td>{bar}</td><td class="n">{percent}</td>'
            f'<td class="n soft">{points:,}</td></tr>'
        )
    head = '<tr><th>class</th><th></th><th class="n">IoU %</th><th class="n">points</th></tr>'
    return f'<table class="bars"><thead>{head}</thead><tbody>{"".join(body)}</tbody></table>'


def heat_table(names: Sequence[str], matrix: Array) -> str:
    """Return the confusion matrix, each row in percent of the class's points.

    Args:
        names: of the C classes.
        matrix: (C, C + 1) counts; the last column, unknown, is shown where it is not empty.
    """
    columns = [*names, "unknown"] if matrix[:, -1].any() else list(names)
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in columns)
    body = []
    for i, name in enumerate(names):
        total = int(matrix[i].sum())
        cells = "".join(_cell(int(matrix[i, j]), total, i == j) for j in range(len(columns)))
        body.append(f'<tr><th scope="row">{escape(name)}</th>{cells}<td class="all">{total:,}</td></tr>')
    head = f'<tr><th></th>{head}<th scope="col"><span>points</span></th></tr>'
    return f'<table class="heat"><thead>{head}</thead><tbody>{"".join(body)}</tbody></table>'


def chart(title: str, curve: Mapping[str, Any]) -> str:
    """Return a figure of one chart with its lines and, where they are several, a legend.

    Args:
        title: stands above.
        curve: `{"x": axis, "y": axis, "lines": {name: [[x, y or None], ...]}}`.
    """
    lines = {name: [(x, y) for x, y in points if y is not None] for name, points in curve["lines"].items()}
    points = np.array([pair for line in lines.values() for pair in line], dtype=np.float64)
    caption = f"<figcaption>{escape(title)}</figcaption>"
    if not len(points):
        return f'<figure>{caption}<p class="soft">no values</p></figure>'
    (x_low, y_low), (x_high, y_high) = points.min(axis=0), points.max(axis=0)
    x_ticks, y_ticks = ticks(x_low, x_high), ticks(y_low, y_high)
    frame = (min(x_low, x_ticks[0]), max(x_high, x_ticks[-1]), min(y_low, y_ticks[0]), max(y_high, y_ticks[-1]))
    parts = [_axes(x_ticks, y_ticks, frame, str(curve.get("x", "")), str(curve.get("y", "")))]
    parts += [_line(i, name, line, frame) for i, (name, line) in enumerate(lines.items()) if line]
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    return f"<figure>{caption}{svg}{_legend(list(lines)) if len(lines) > 1 else ''}</figure>"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) from at or below `low` to at or above `high`."""
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-6):
        margin = abs(low) / 2 or 1.0
        low, high = low - margin, high + margin
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _cell(count: int, total: int, right: bool) -> str:
    share = count / total if total else 0.0
    kinds = [kind for kind, holds in (("right", right), ("dark", share > FILLED), ("none", not count)) if holds]
    text = "" if not count else "&lt;1" if share < 0.005 else f"{100 * share:.0f}"
    text = "&middot;" if right and not total else text
    return f'<td class="{" ".join(kinds)}" style="--v:{share:.2f}" title="{count:,} points">{text}</td>'


def _place(x: float, y: float, frame: tuple[float, float, float, float]) -> tuple[float, float]:
    x_low, x_high, y_low, y_high = frame
    across = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
    return across, HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)


def _axes(
    x_ticks: list[float], y_ticks: list[float], frame: tuple[float, float, float, float], x_name: str, y_name: str
) -> str:
    parts = []
    for value in y_ticks:
        y = _place(frame[0], value, frame)[1]
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    for value in x_ticks:
        x = _place(value, frame[2], frame)[0]
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:.6g}</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_name)}</text>'
    )
    parts.append(f'<text x="2" y="12">{escape(y_name)}</text>')
    return "".join(parts)


def _line(number: int, name: str, line: list[tuple[float, float]], frame: tuple[float, float, float, float]) -> str:
    places = [_place(x, y, frame) for x, y in line]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    marks = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{_color(number)}">'
        f"<title>{escape(name)}: {at:.6g}, {value:.6g}</title></circle>"
        for (x, y), (at, value) in zip(places, line, strict=True)
        if len(line) <= MARKED
    ]
    return f'<polyline points="{path}" {_stroke(number)}/>{"".join(marks)}'


def _legend(names: Sequence[str]) -> str:
    rows = (
        f'<li><svg viewBox="0 0 22 8"><line x1="0" x2="22" y1="4" y2="4" {_stroke(i)}/></svg>{escape(name)}</li>'
        for i, name in enumerate(names)
    )
    return f'<ul class="legend">{"".join(rows)}</ul>'


def _stroke(number: int) -> str:
    dash = "" if number < LINE_COLORS else ' stroke-dasharray="5 3"'
    return f'fill="none" stroke="{_color(number)}" stroke-width="2" stroke-linejoin="round"{dash}'


def _color(number: int) -> str:
    return f"var(--line-{number % LINE_COLORS})"
