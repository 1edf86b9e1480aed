"""What is at fault? Sentences about calibration, words and teacher, each with the number and the threshold behind it.

The thresholds are rules of thumb from the synthetic world (docs/label.md shows on which drives they were tried).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clip2scene_ros.alignment_fit import FITS, SLIPPED, UNKNOWN
from clip2scene_ros.label.account import Account, share

GOOD, LOOK, BAD = "good", "look", "bad"
MAX_LEAK = 0.05
"""Share of visible points that fall on sky and the like: a LiDAR meets none, but edges are as wide as a patch."""
MIN_CAMERAS_AGREE, MIN_SWEEPS_AGREE = 0.70, 0.75
HOPELESS = 0.35
"""Less agreement than this is left where half of what a teacher says is wrong."""
MIN_GROUND_TOLD, CLEAR_GROUND_TOLD = 0.15, 0.35
"""What labels tell of the ground: below the first they are as good as drawn by lot."""
MAX_RIVALS = 0.10
"""Share of pixels on which one pair of classes cannot be told apart."""
GUESS = 1.5
"""A teacher less sure than this many times a guess hardly knows what it sees."""
MAX_ONE_CLASS = 0.80
"""Share of pixels that one class may win: no street is made of a single thing."""


@dataclass(frozen=True)
class Finding:
    """What was found about one of the three: `calibration`, `words` or `teacher`.

    Attributes:
        about: which.
        state: `good`, `look` or `bad`.
        sentences: the worst first.
    """

    about: str
    state: str
    sentences: tuple[str, ...]


def findings(account: Account, notice: str) -> list[Finding]:
    """Return what is found about calibration, words and teacher, in the order in which they should be looked at."""
    return [_calibration(account), _words(account), _teacher(account, notice)]


def conclusion(found: list[Finding]) -> str:
    """Return one sentence: what to look at first. A bad calibration spoils everything, bad words all labels."""
    calibration, words, teacher = found
    if calibration.state == BAD:
        return "Calibration first: labels land beside their things, whatever words and teacher are worth."
    if teacher.state == BAD and words.state != BAD:
        return "The teacher first: it does not tell these images' things apart."
    if words.state == BAD:
        return "Words first: the classes, as they are called, do not divide these images."
    doubts = [each.about for each in found if each.state == LOOK]
    if doubts:
        return f"Nothing is plainly wrong; worth a look: {' and '.join(doubts)}."
    return "Nothing speaks against calibration, words or teacher."


def _calibration(account: Account) -> Finding:
    sentences, state = [], GOOD
    verdicts = {name: fit.judge() for name, fit in account.fits.items()}
    off = [name for name, verdict in verdicts.items() if verdict.state == SLIPPED]
    unknown = [name for name, verdict in verdicts.items() if verdict.state == UNKNOWN]
    if off:
        state = BAD
        each = "; ".join(f"{name} is {verdicts[name].in_words()}" for name in off)
        sentences.append(f"{each}. Turned by that, the images fit the scan better.")
    if unknown:
        state = state if off else LOOK
        sentences.append(
            f"The score cannot tell for {', '.join(unknown)}: too few views, or too few edges of depth in "
            "them. Look at the points on the pictures: poles and cars' outlines show it at once."
        )
    if not off and not unknown and verdicts:
        sentences.append("Every camera fits best as calibrated: turned by a degree about any axis, it scores worse.")
    if (leak := _leak(account)) and (off or unknown):
        state = LOOK if state == GOOD else state
        sentences.append(f"{leak}: a wrong calibration or stamp does that, too.")
    agree = share(account.evidence.cameras_agree, account.evidence.cameras_compared)
    if agree is not None and agree < MIN_CAMERAS_AGREE and off:
        sentences.append(f"Where two cameras see a point they agree on {100 * agree:.0f} % only.")
    if not verdicts:
        return Finding("calibration", LOOK, ("No depth edge was in any view: nothing can be said.",))
    return Finding("calibration", state, tuple(sentences))


def _leak(account: Account) -> str:
    """Return the sky leak as the begin of a sentence where it is too large, else nothing."""
    leak = share(account.evidence.absorbed, account.evidence.visible)
    if leak is None or leak <= MAX_LEAK:
        return ""
    return (
        f"{100 * leak:.1f} % of the visible points fall on sky and the like, where no LiDAR point can lie (expected: "
        f"below {100 * MAX_LEAK:.0f} %)"
    )


def _words(account: Account) -> Finding:
    pixels, names = account.pixels, account.class_set.names
    sentences, state = [], GOOD
    seen = pixels.winners[:-1]
    if pixels.total and len(names) > 1 and seen.max() > MAX_ONE_CLASS * pixels.total:
        state = BAD
        top = names[int(seen.argmax())]
        sentences.append(
            f"{top} wins {100 * seen.max() / pixels.total:.0f} % of all pixels (more than {100 * MAX_ONE_CLASS:.0f} % "
            "is no street): its words fit everything. Use narrower ones, or give the other classes more."
        )
    pairs = pixels.undecided + pixels.undecided.T
    if pixels.total and pairs.max(initial=0) > MAX_RIVALS * pixels.total:
        state = LOOK if state == GOOD else state
        a, b = (int(i) for i in np.unravel_index(int(np.triu(pairs).argmax()), pairs.shape))
        sentences.append(
            f"{names[a]} and {names[b]} are close rivals on {100 * pairs[a, b] / pixels.total:.0f} % of all pixels "
            f"(more than {100 * MAX_RIVALS:.0f} %): their words mean nearly the same to the teacher. Merge the two, or "
            "choose words that only one of them can have."
        )
    if pixels.total and not pixels.winners[-1]:
        state = LOOK if state == GOOD else state
        sentences.append(
            "No pixel of any image is sky or the like: what no LiDAR meets becomes some class. Give the class set "
            "`absorbers`, such as sky and clouds; indoors there is nothing to mend."
        )
    never = [name for name, count in zip(names, seen, strict=True) if not count]
    if never:
        sentences.append(f"Never the best anywhere: {', '.join(never)}. If they are in the pictures, try other words.")
    if not sentences:
        sentences.append("Every class wins somewhere, none everywhere, and no two are rivals throughout.")
    return Finding("words", state, tuple(sentences))


def _teacher(account: Account, notice: str) -> Finding:
    sentences, state, told = [], GOOD, account.ground_told
    if "random" in notice:
        return Finding("teacher", BAD, ("Its weights are random: no label here means anything.",))
    if told < MIN_GROUND_TOLD:
        state = BAD
        sentences.append(
            f"Knowing a point's label tells {100 * told:.0f} % of whether it lies on the ground (below "
            f"{100 * MIN_GROUND_TOLD:.0f} % is no better than chance): roads and walls get the same labels."
        )
    elif told < CLEAR_GROUND_TOLD:
        state = LOOK
        sentences.append(
            f"Knowing a point's label tells {100 * told:.0f} % of whether it lies on the ground; a clear-sighted "
            f"teacher reaches {100 * CLEAR_GROUND_TOLD:.0f} % and more."
        )
    elif not math.isnan(told):
        sentences.append(f"Knowing a point's label tells {100 * told:.0f} % of whether it lies on the ground.")
    if (leak := _leak(account)) and all(fit.judge().state == FITS for fit in account.fits.values()):
        state = LOOK if state == GOOD else state
        sentences.append(f"{leak}, though the calibration fits: it sees sky where things stand.")
    pixels, classes = account.pixels, len(account.class_set)
    sure = share(pixels.confidence, pixels.total)
    if sure is not None and classes > 1 and sure < GUESS / classes:
        state = LOOK if state == GOOD else state
        sentences.append(
            f"It is {100 * sure:.0f} % sure of a pixel on average; a guess among {classes} classes is right in "
            f"{100 / classes:.0f} % of cases."
        )
    e = account.evidence
    for whose, agree, least in (
        ("cameras", share(e.cameras_agree, e.cameras_compared), MIN_CAMERAS_AGREE),
        ("sweeps", share(e.sweeps_agree, e.sweeps_compared), MIN_SWEEPS_AGREE),
    ):
        if agree is not None and agree < least:
            state = BAD if agree < HOPELESS else LOOK if state == GOOD else state
            sentences.append(
                f"Two {whose} give a point the same class in {100 * agree:.0f} % of cases (expected: {100 * least:.0f} "
                "% and more, where the calibration fits)."
            )
    return Finding("teacher", state, tuple(sentences) or ("There is no ground in view by which it could be judged.",))
