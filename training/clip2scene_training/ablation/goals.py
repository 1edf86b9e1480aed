"""What the rows of an ablation say together: their order against the paper's, and which goals are reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_ros.significance import MIN_SCENES
from clip2scene_training.ablation.rows import BEST, CEILING, FILLED, PAPER, TEACHER
from clip2scene_training.scoring_table import ALL, Row, compare_rows, recall

Seeds = Sequence[Row]
"""A row's counts, one for each seed."""

SMALL = ("pedestrian", "bicycle", "motorcycle", "traffic cone")
"""Pedestrians, riders and cones; riders have the class of what they ride."""
NEAR = "0-20 m"
SHARE_OF_GAP, ABOVE_PAPER, CAMERA, SHARE_OF_RECALL = 2 / 3, 0.05, 0.03, 2 / 3
QUALITIES = ("20", "35", "50", "65")
CAMERA_OFF = "best-camera-off"


@dataclass(frozen=True)
class Goal:
    """A goal and what was found.

    Attributes:
        text: what was asked for.
        found: in words; empty where the rows for it are not there.
        reached: None where they are not.
    """

    text: str
    found: str = ""
    reached: bool | None = None

    @property
    def verdict(self) -> str:
        """Return `reached`, `missed` or `not measured`."""
        return {True: "reached", False: "missed", None: "not measured"}[self.reached]


@dataclass(frozen=True)
class Order:
    """Rows' order here against another.

    Attributes:
        tau: Kendall's, with ties (b); NaN where either has nothing but ties.
        rows: that both have.
        inversions: pairs of rows whose order is the opposite: (better here, better there, difference here).
    """

    tau: float
    rows: tuple[str, ...]
    inversions: tuple[tuple[str, str, float], ...]


def mean_miou(runs: Seeds, sight: str = ALL) -> float:
    """Return the mean over the seeds of mIoU, 1 being 100 points."""
    return float(np.mean([run.miou(sight) for run in runs]))


def order(rows: Mapping[str, Seeds], theirs: Mapping[str, float], sight: str = ALL) -> Order:
    """Compare the order of rows by mIoU with that of other numbers; a difference inside its interval is a tie.

    Kendall's tau-b: concordant less discordant pairs over sqrt((pairs - ties here) (pairs - ties there)). Since a row
    may be tied with two that differ, ties are of pairs. With fewer than six scenes there are no intervals: then only
    equal rows are tied.

    Args:
        rows: name -> counts.
        theirs: name -> number, the higher the better.
        sight: which points.
    """
    names = tuple(name for name in rows if name in theirs)
    agree, here, there, inversions = 0, 0, 0, []
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            difference = _difference(rows[first], rows[second], sight)
            sign, other = np.sign(difference), np.sign(theirs[first] - theirs[second])
            agree, here, there = agree + int(sign * other), here + int(sign != 0), there + int(other != 0)
            if sign * other < 0:
                better = (first, second) if sign > 0 else (second, first)
                inversions.append((*better, abs(difference)))
    tau = agree / math.sqrt(here * there) if here and there else float("nan")
    return Order(tau, names, tuple(sorted(inversions, key=lambda each: -each[2])))


def _difference(first: Seeds, second: Seeds, sight: str) -> float:
    """Return the difference of mIoU, 0 where its interval holds 0."""
    if len(first[0].scenes) < MIN_SCENES:
        return mean_miou(first, sight) - mean_miou(second, sight)
    found = compare_rows(first, second, sight)
    return found.difference if found.differs else 0.0


def goals(rows: Mapping[str, Seeds], cameras: Mapping[str, Seeds]) -> list[Goal]:
    """Return the goals in their order; what a goal needs and is not there makes it `not measured`.

    Args:
        rows: name -> counts.
        cameras: the same, "seen" being "seen by the camera that is taken away in a row, alone".
    """
    return [_gap(rows), *(_above_teacher(rows, quality) for quality in QUALITIES), _above_paper(rows),
            _camera(cameras), *(_small(rows, name) for name in SMALL)]  # fmt: skip


def _gap(rows: Mapping[str, Seeds]) -> Goal:
    text = "best closes two thirds of the gap from the teacher's labels, filled or not, to the ceiling, on all points"
    if not {BEST, CEILING, TEACHER, FILLED} <= set(rows):
        return Goal(text)
    top, mine = mean_miou(rows[CEILING]), mean_miou(rows[BEST])
    name = max((TEACHER, FILLED), key=lambda each: mean_miou(rows[each]))
    base = mean_miou(rows[name])
    if top <= base:
        return Goal(text, f"the ceiling, {_points(top)}, is not above {name}, {_points(base)}", False)
    share = (mine - base) / (top - base)
    found = f"{100 * share:.0f} %: {name} {_points(base)}, best {_points(mine)}, ceiling {_points(top)}"
    return Goal(text, found, share >= SHARE_OF_GAP)


def _above_teacher(rows: Mapping[str, Seeds], quality: str) -> Goal:
    text = f"best is above its teacher's labels where these are worth about {quality}"
    best, teacher = f"best-{quality}", f"teacher-{quality}"
    if not {best, teacher} <= set(rows):
        return Goal(text)
    mine, theirs = mean_miou(rows[best]), mean_miou(rows[teacher])
    found = f"{_points(mine)} against {_points(theirs)} ({_points(mean_miou(rows[teacher], 'seen'))} on seen points)"
    return Goal(text, found, mine > theirs)


def _above_paper(rows: Mapping[str, Seeds]) -> Goal:
    text = f"best is at least {_points(ABOVE_PAPER)} above paper"
    if not {BEST, PAPER} <= set(rows):
        return Goal(text)
    difference = mean_miou(rows[BEST]) - mean_miou(rows[PAPER])
    return Goal(text, f"{100 * difference:+.1f}", difference >= ABOVE_PAPER)


def _camera(cameras: Mapping[str, Seeds]) -> Goal:
    text = f"points of one camera: without it in training at most {_points(CAMERA)} apart"
    if not {BEST, CAMERA_OFF} <= set(cameras):
        return Goal(text)
    on, off = (mean_miou(cameras[name], "seen") for name in (BEST, CAMERA_OFF))
    if math.isnan(on - off):
        return Goal(text)
    return Goal(text, f"on {_points(on)}, off {_points(off)}", abs(on - off) <= CAMERA)


def _small(rows: Mapping[str, Seeds], name: str) -> Goal:
    text = f"recall of {name} at {NEAR}: two thirds of the ceiling's"
    if not {BEST, CEILING} <= set(rows) or name not in rows[BEST][0].classes:
        return Goal(text)
    mine, top = (near_recall(rows[each], name) for each in (BEST, CEILING))
    if math.isnan(mine) or math.isnan(top):
        return Goal(text)
    # a ceiling that finds none has learned too little to measure anything by
    return Goal(text, f"{_points(mine)} % of {_points(top)} %", mine >= SHARE_OF_RECALL * top if top else None)


def near_recall(runs: Seeds, name: str) -> float:
    """Return the mean over the seeds of a class's recall at 0 to 20 m, NaN where it does not occur."""
    place = runs[0].classes.index(name)
    return float(np.mean([recall(run.matrix(ALL, NEAR))[place] for run in runs]))


def _points(share: float) -> str:
    return f"{100 * share:.1f}"
