"""The report of an ablation: a table for the terminal, report.json, one page; every number is of the rows' counts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.files import whole_file
from clip2scene_ros.metrics import BANDS_M, iou
from clip2scene_ros.report.evaluation import hardware
from clip2scene_ros.report.format import plain
from clip2scene_ros.report.page import DASH, document, fact_table, section, show, wide
from clip2scene_ros.significance import MIN_SCENES
from clip2scene_training.ablation.ablate import Results
from clip2scene_training.ablation.goals import NEAR, SMALL, Order, Seeds, goals, mean_miou, near_recall, order
from clip2scene_training.ablation.plan import Plan
from clip2scene_training.ablation.rows import PAPER, AblationRow, Rows
from clip2scene_training.scoring_table import ALL, SIGHTS, compare_rows
from clip2scene_training.world.version import WORLD_VERSION

FORMAT = "clip2scene-ablation/1"
PLACES = (*SIGHTS, ALL)
CLOSE = 0.02
"""Rows of one seed that are nearer to `paper` than this need three: seeds differ by as much."""
Report = dict[str, Any]
STYLE = (
    "h1.words { font-size: 30px; } .bad { color: var(--line-1); } .good { color: var(--line-2); } "
    ".grid td:first-child { white-space: nowrap; }"
)


def build(results: Results, rows: Rows, plan: Plan, split: str, command: str) -> Report:
    """Return the content of report.json.

    Args:
        results: what the rows have found.
        rows: all rows of the file: those without results are listed.
        plan: what they share.
        split: which scenes judged.
        command: makes this report again.
    """
    counts = {name: [each.row for each in results.found[name].values()] for name in rows.rows if name in results.found}
    cameras = {name: [each.camera for each in results.found[name].values()] for name in counts}
    theirs = {row.name: row.table3 for row in rows.rows.values() if row.table3 is not None}
    against = order({name: counts[name] for name in theirs if name in counts}, theirs) if counts else None
    return {
        "format": FORMAT,
        "split": split,
        "world": WORLD_VERSION,
        "plan": asdict(plan),
        "rows": {name: _row(rows.rows[name], results, counts) for name in counts},
        "failed": dict(results.failed),
        "not_run": [name for name in rows.rows if name not in counts and name not in results.failed],
        "order": _order(against),
        "goals": [{**asdict(goal), "verdict": goal.verdict} for goal in goals(counts, cameras)],
        "hardware": hardware(),
        "command": command,
    }


def _row(row: AblationRow, results: Results, counts: Mapping[str, Seeds]) -> Report:
    """Return what one row has found: means over its seeds, and differences with their intervals."""
    found, runs = results.found[row.name], counts[row.name]
    bases = {"paper": PAPER, "teacher": row.teacher}
    near = {name: near_recall(runs, name) for name in SMALL if name in runs[0].classes}
    return {
        "shows": row.shows,
        "seeds": list(found),
        "miou": {place: _share(mean_miou(runs, place)) for place in PLACES},
        "miou_of_seeds": [_share(run.miou()) for run in runs],
        "miou_by_distance": {band: _share(float(np.mean([run.miou(ALL, band) for run in runs]))) for band in BANDS_M},
        "labelled": _share(float(np.mean([1 - run.matrix()[:, -1].sum() / run.matrix().sum() for run in runs]))),
        "iou": _by_class([iou(run.matrix()) for run in runs], runs),
        "iou_by_distance": {band: _by_class([iou(r.matrix(ALL, band)) for r in runs], runs) for band in BANDS_M},
        "recall_near": {name: _share(value) for name, value in near.items()},
        "against": {
            name: {place: _compared(runs, counts[base], place) for place in PLACES}
            for name, base in bases.items()
            if base in counts and base != row.name
        },
        "asked": {seed: each.asked for seed, each in found.items() if each.asked},
        "notes": {seed: each.notes for seed, each in found.items()},
    }


def _compared(runs: Seeds, base: Seeds, place: str) -> list[float] | None:
    """Return difference, low and high, first minus base; None with too few scenes."""
    if len(runs[0].scenes) < MIN_SCENES:
        return None
    found = compare_rows(runs, base, place)
    return [round(value, 5) for value in (found.difference, found.low, found.high)]


def _order(found: Order | None) -> Report:
    if found is None or len(found.rows) < 2:
        return {"tau": None, "rows": [], "inversions": []}
    return {"tau": _share(found.tau), "rows": list(found.rows), "inversions": [list(each) for each in found.inversions]}


def _by_class(values: Sequence[Any], runs: Seeds) -> dict[str, float | None]:
    means = np.mean(values, axis=0)
    return {name: _share(float(value)) for name, value in zip(runs[0].classes, means, strict=True)}


def _share(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 5)


def tables(report: Report) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Return the report's tables: title -> head and rows, in percent."""
    rows = report["rows"]
    classes = list(next(iter(rows.values()))["iou"]) if rows else []
    asked = [
        [name, str(seed), word, percent(each["average_precision"]), percent(each["chance"])]
        for name, row in rows.items()
        for seed, words in row["asked"].items()
        for word, each in words.items()
    ]
    return {
        "mIoU": (
            ["row", "seeds", "seen", "unseen", "all", "seeds' range", *BANDS_M, "labelled", "all, against paper",
             "all, against the teacher"],
            [_main(name, row) for name, row in rows.items()],
        ),
        "IoU, all points": (
            ["row", *classes], [[name, *(percent(row["iou"][c]) for c in classes)] for name, row in rows.items()]
        ),
        **{
            f"IoU, {band}": (
                ["row", *classes],
                [[name, *(percent(row["iou_by_distance"][band][c]) for c in classes)] for name, row in rows.items()],
            )
            for band in BANDS_M
        },
        f"Recall at {NEAR}": (
            ["row", *SMALL],
            [[name, *(percent(row["recall_near"].get(c)) for c in SMALL)] for name, row in rows.items()],
        ),
        **({"Classes that were never heard of": (["row", "seed", "class", "average precision", "chance"], asked)}
           if asked else {}),
        "Rows": (["row", "what it shows"], [[name, row["shows"]] for name, row in rows.items()]),
    }  # fmt: skip


def _main(name: str, row: Report) -> list[str]:
    each = [value for value in row["miou_of_seeds"] if value is not None]
    spread = f"{percent(min(each))} to {percent(max(each))}" if len(each) > 1 else DASH
    return [
        name, str(len(row["seeds"])), *(percent(row["miou"][place]) for place in PLACES), spread,
        *(percent(row["miou_by_distance"][band]) for band in BANDS_M), percent(row["labelled"]),
        *(_interval(row["against"].get(base, {}).get(ALL)) for base in ("paper", "teacher")),
    ]  # fmt: skip


def sentences(report: Report) -> list[str]:
    """Return what has to be read with the tables: order, inversions, goals, what failed, what is missing."""
    found, lines = report["order"], []
    if found["tau"] is not None:
        lines.append(
            f"Kendall's tau of {len(found['rows'])} rows against the paper's Table 3: {found['tau']:+.2f} "
            "(differences inside their intervals are ties)."
        )
    above: dict[str, list[str]] = {}
    for better, worse, difference in found["inversions"]:
        above.setdefault(better, []).append(f"{worse} by {100 * difference:.1f}")
    lines += [
        f"Inversions: {better}, in the paper below, is here above {', '.join(those)}."
        for better, those in above.items()
    ]
    lines += [f"Row {name} failed, {why}" for name, why in report["failed"].items()]
    single = [
        name for name, row in report["rows"].items()
        if len(row["seeds"]) == 1 and row["notes"].get(row["seeds"][0])
        and (near := row["against"].get("paper", {}).get(ALL)) and abs(near[0]) < CLOSE
    ]  # fmt: skip
    if single:
        lines.append(f"Within 2 mIoU of paper by one seed; --seeds 0 1 2 would tell more: {', '.join(single)}.")
    if report["not_run"]:
        lines.append(f"Not run: {', '.join(report['not_run'])}.")
    return lines


def text(report: Report) -> str:
    """Return the report for a terminal: the first table, goals, order."""
    head, body = tables(report)["mIoU"]
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(w) if not i else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in (head, *body)
    ]
    goal_lines = [f"{goal['verdict']:12} {goal['text']}: {goal['found'] or DASH}" for goal in report["goals"]]
    plan = report["plan"]
    title = f"mIoU [%] on {report['split']}, {plan['samples']} scans learned by every row"
    return "\n".join([title, *lines, "", "goals", *goal_lines, "", *sentences(report)])


def page(report: Report) -> str:
    """Return the report as a self-contained HTML page."""
    reached = [goal["verdict"] for goal in report["goals"]]
    notes = "".join(f"<p>{escape(line)}</p>" for line in sentences(report))
    marks = {"reached": "good", "missed": "bad", "not measured": "soft"}
    goal_rows = "".join(
        f'<tr><td class="{marks[goal["verdict"]]}">{goal["verdict"]}</td><td>{escape(goal["text"])}</td>'
        f"<td>{escape(goal['found'] or DASH)}</td></tr>"
        for goal in report["goals"]
    )
    facts = [*report["plan"].items(), ("split", report["split"]), ("world", report["world"]),
             ("hardware", report["hardware"])]  # fmt: skip
    why = (
        "Percent. Intervals are 95 % of a paired bootstrap over scenes; ~ holds 0. mIoU is over the classes that occur."
    )
    parts = [
        f'<header><h1 class="words">{len(report["rows"])} ways to learn a street</h1>'
        f'<p class="soft">{reached.count("reached")} goals reached, {reached.count("missed")} missed, '
        f"{reached.count('not measured')} not measured.</p>" + (f'<div class="notes">{notes}</div>' if notes else "")
        + "</header>",
        section("Goals", "", wide(f'<table class="grid"><tbody>{goal_rows}</tbody></table>')),
        *(section(title, why if title == "mIoU" else "", _table(*table)) for title, table in tables(report).items()),
        section("Made by", "Select the box to copy the command.", f"<pre>{escape(report['command'])}</pre>",
                fact_table(facts)),
    ]  # fmt: skip
    return document("clip2scene ablate", parts, STYLE)


def write(home: Path, report: Report) -> tuple[Path, Path]:
    """Write report.json and report.html of a split into an ablation's folder, and return their paths."""
    places = home / f"report_{report['split']}.json", home / f"report_{report['split']}.html"
    content = json.dumps(plain(report, "report"), indent=2, allow_nan=False) + "\n"
    for path, written in zip(places, (content, page(report)), strict=True):
        with whole_file(path) as stream:
            stream.write(written.encode())
    return places


def percent(share: float | None) -> str:
    """Return a share in percent, a dash where there is none."""
    return DASH if share is None else f"{100 * share:.1f}"


def _interval(found: Sequence[float] | None) -> str:
    if found is None:
        return DASH
    difference, low, high = (100 * value for value in found)
    return f"{'~' if low <= 0 <= high else ''}{difference:+.1f} [{low:+.1f}, {high:+.1f}]"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th{_kind(i, head)}>{escape(name)}</th>" for i, name in enumerate(head))
    rows = "".join(
        "<tr>" + "".join(f"<td{_kind(i, head)}>{show(value)}</td>" for i, value in enumerate(line)) + "</tr>"
        for line in body
    )
    return wide(f'<table class="grid"><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>')


def _kind(column: int, head: Sequence[str]) -> str:
    return ' class="n"' if column and len(head) > 2 else ""
