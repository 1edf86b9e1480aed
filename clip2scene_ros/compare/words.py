"""What a comparison says to a person: the conclusion, the table for a terminal, what must be read with the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from clip2scene_ros.compare.account import Account
from clip2scene_ros.compare.measures import BLOCK_S, Findings, Measure, duration_s
from clip2scene_ros.compare.pairs import WITHIN_M
from clip2scene_ros.significance import MIN_SCENES, Comparison

DASH, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
HEAD = ("A", "B", "B against A, 95 %", "")


def conclusion(found: Findings) -> str:
    """Return one sentence: who is better, by the measure that decides."""
    if not found.judged:
        return "Which of the two is better cannot be told of this drive."
    each, points = found.measures[found.gate], "" if found.gate == "latency" else " points"
    words = {"B": "B is better than A by", "A": "B is worse than A by", "": "No difference between A and B by"}
    return f"{words[each.better]} {each.title}: {difference(found.gate, each)}{points}."


def units(name: str, found: Comparison) -> tuple[float, float, float]:
    """Return the difference and the ends of its interval, of latencies the quotient of B by A and its ends."""
    values = (found.difference, found.low, found.high)
    return (math.exp(values[0]), math.exp(values[1]), math.exp(values[2])) if name == "latency" else values


def difference(name: str, each: Measure) -> str:
    """Return B against A with its interval: in points of a hundred, of latencies the quotient."""
    if each.found is None:
        return DASH
    ends = units(name, each.found)
    if name == "latency":
        return TIMES + "{:.3f} [{:.3f}, {:.3f}]".format(*ends)
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(round(100 * end, 1) + 0.0 for end in ends))


def value(name: str, each: float | None) -> str:
    """Return a measure's value: percent, of latencies milliseconds."""
    if each is None:
        return DASH
    return f"{each:.1f}" if name == "latency" else f"{100 * each:.1f}"


def compare_table(found: Findings, same: float | None) -> str:
    """Return the comparison as lines for a terminal.

    Args:
        found: what was concluded.
        same: share of points of which A and B say the same.
    """
    rows = [("", *HEAD)]
    for name, each in found.measures.items():
        rows.append((f"{each.title} [{'ms' if name == 'latency' else '%'}]", *_cells(name, each)))
    lines = _aligned(rows)
    lines += [f"  {each.title}: {each.why}." for each in found.measures.values() if each.why]
    lines.append(f"A and B say the same of {value('', same)} % of the points.")
    classes = [(each.title, *_cells("", each)) for each in found.classes if each.a is not None]
    return "\n".join([*lines, "", *_aligned([("IoU [%]", *HEAD), *classes])] if classes else lines)


def notes(
    account: Account,
    found: Findings,
    checkpoints: Mapping[str, Mapping[str, str]],
    teacher: str,
    missing: Mapping[str, str],
) -> list[str]:
    """Return the sentences that must be read with the numbers.

    Args:
        account: what was counted.
        found: what was concluded.
        checkpoints: as in `compare_report.Made`.
        teacher: what it says of itself; empty without one.
        missing: why there is no ground truth (`miou`), or no teacher (`agreement`).
    """
    nothing = {"miou": "No ground truth", "agreement": "No teacher"}
    said = [f"{nothing[name]}: {why}." for name, why in missing.items()]
    if checkpoints["A"]["sha256"] == checkpoints["B"]["sha256"]:
        said.append("A and B are the same weights: only latency can differ, and where it does it is by chance.")
    notices = {side: each["notice"] for side, each in checkpoints.items() if each["notice"]}
    said += [f"{' and '.join(s for s in notices if notices[s] == n)}: {n}." for n in dict.fromkeys(notices.values())]
    said += [_of_the_teacher(account, teacher)] if teacher else []
    said += [_of_stability(account)] if account.rows.get("stability") else []
    if found.gate == "stability":
        said.append("Stability decides here, and knows nothing of right and wrong: look at the pictures.")
    if duration_s(account) < MIN_SCENES * BLOCK_S:
        said.append(
            f"The drive lasts {duration_s(account):.1f} s: its blocks of scans are of one place, so that the intervals "
            "are too short for any other."
        )
    return said + [f"{count} {what}." for what, count in account.left_out.items()]


def _of_the_teacher(account: Account, teacher: str) -> str:
    text = f"The teacher: {teacher}. It errs: agreement is no accuracy, and who copies its errors agrees most."
    total = int(account.teacher_truth.sum())
    if not total:
        return text
    right = np.trace(account.teacher_truth[:, :-1]) / total
    return f"{text} It is right on {100 * right:.0f} % of the points that it labels here."


def _of_stability(account: Account) -> str:
    if account.one_thing:
        left = 1 - account.one_thing / account.pairs
        return (
            f"Stability: {account.pairs:,} points lie within {100 * WITHIN_M:.0f} cm of one of the scan before; "
            f"{100 * left:.1f} % of these pairs are left out, being by ground truth of two things (what moves, edges) "
            "or of none that is known."
        )
    return (
        "Stability without ground truth: where something moves onto a place, its class rightly changes, but counts as "
        "unsteady. That falls on A and B alike only if both see what moves: who takes it for what is behind it looks "
        "steadier. So does who gives everything one class: see the classes' shares."
    )


def _cells(name: str, each: Measure) -> tuple[str, str, str, str]:
    return value(name, each.a), value(name, each.b), difference(name, each), each.verdict


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines: numbers to the right, the first and the last column to the left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    last = len(widths) - 1
    return [
        "  ".join(
            text.ljust(width) if i in (0, last) else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
