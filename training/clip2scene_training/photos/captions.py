"""One caption in free words for a photo: some of the main things in it, as people write; now and then it is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_training.photos.words import KINDS, NAMES

COUNTS = ((1, 0.35), (2, 0.40), (3, 0.25))
"""How many things a caption names, at most."""
SUBJECT_FIRST = 0.75
"""Share of the captions that begin with what the photographer meant to take."""
FORGOTTEN = 0.15
"""Chance that the second or third thing is left out."""
SEEN = 0.015
"""Things that cover less than this share of a photo are not mentioned."""

FRAMES = (
    "{}", "{}", "{}", "a photo of {}", "a photo of {}", "photo of {}", "a picture of {}", "a close up of {}",
    "a cropped photo of {}", "a good photo of {}", "a bad photo of {}", "a blurry photo of {}", "a snapshot of {}",
    "my photo of {}", "this is {}", "there is {} in the scene", "this is {} in the scene", "a bright photo of {}",
    "a dark photo of {}", "a low resolution photo of {}", "here you see {}", "we saw {} today", "look at {}",
    "{} in town", "{} outside", "{} this morning", "just {}",
)  # fmt: skip
JOINS = (" and ", " and ", ", ", " with ", " next to ", " in front of ", " near ", " behind ", " by ")
ADJECTIVES = ("old", "new", "small", "large", "big", "dirty", "clean", "nice", "weird", "plain", "one")
LIGHTS = {
    "clear": ("on a sunny day", "in the sun", "under a blue sky"), "hazy": ("on a hazy day", "in the haze"),
    "overcast": ("on a grey day", "on a cloudy day"), "mist": ("in the mist", "in the fog"),
    "fog": ("in the fog", "in thick fog"), "dusk": ("at dusk", "in the evening"), "night": ("at night", "in the dark"),
}  # fmt: skip
ARTICLES = ("", "", "", "", "the", "the", "my")
"""Before a name; empty stands for `a` or `an`."""
HUES = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
GREYS = ("black", "grey", "white")
HUE_ENDS = np.array([0.045, 0.105, 0.19, 0.47, 0.70, 0.86, 0.95])
"""Where each of `HUES` ends on the circle from 0 to 1; beyond the last it is red again."""


@dataclass(frozen=True)
class Sight:
    """A kind of thing that a photo shows.

    Attributes:
        kind: a key of `KINDS`.
        share: of the photo, in [0, 1].
        color: (red, green, blue) mean of it in the photo, 0..255.
    """

    kind: str
    share: float
    color: tuple[float, float, float]


def caption(subject: str, sights: Sequence[Sight], light: str, wrong: float, rng: np.random.Generator) -> str:
    """Return a caption.

    Args:
        subject: the kind that the photographer meant to take.
        sights: what the photo shows.
        light: a key of `LIGHTS`.
        wrong: chance that a thing is called something else.
        rng: of the words.
    """
    ranked = sorted((s for s in sights if s.share >= SEEN), key=lambda s: -s.share * KINDS[s.kind].salience)
    if rng.random() < SUBJECT_FIRST:
        ranked.sort(key=lambda s: s.kind != subject)
    count = int(rng.choice([n for n, _ in COUNTS], p=[p for _, p in COUNTS]))
    told = [s for k, s in enumerate(ranked[:count]) if k == 0 or rng.random() > FORGOTTEN]
    names = [_name(sight, wrong, rng) for sight in told] or ["nothing much"]
    text = names[0]
    for name in names[1:]:
        text += JOINS[rng.integers(len(JOINS))] + name
    text = FRAMES[rng.integers(len(FRAMES))].format(text)
    if rng.random() < 0.15:
        text += " " + LIGHTS[light][rng.integers(len(LIGHTS[light]))]
    return text


def _name(sight: Sight, wrong: float, rng: np.random.Generator) -> str:
    """Return a thing's name, perhaps with an article, a colour or an adjective."""
    kind = NAMES[rng.integers(len(NAMES))] if rng.random() < wrong else sight.kind
    words = KINDS[kind].words
    rank = 1.0 / (1.0 + np.arange(len(words)))
    name = words[rng.choice(len(words), p=rank / rank.sum())]
    draw = rng.random()
    if draw < 0.25:
        name = f"{color_name(sight.color)} {name}"
    elif draw < 0.35:
        name = f"{ADJECTIVES[rng.integers(len(ADJECTIVES))]} {name}"
    if rng.random() < 0.6 and not name.startswith("one "):
        article = "an" if name[0] in "aeiou" else "a"
        name = f"{ARTICLES[rng.integers(len(ARTICLES))] or article} {name}"
    return name


def color_name(color: Sequence[float]) -> str:
    """Return what somebody would call a colour 0..255."""
    high, low = max(color) / 255.0, min(color) / 255.0
    if high - low < 0.12 * max(high, 0.4):
        return GREYS[0 if high < 0.25 else 1 if high < 0.72 else 2]
    red, green, blue = (c / 255.0 for c in color)
    if high == red:
        turn = (green - blue) / (high - low) % 6
    elif high == green:
        turn = (blue - red) / (high - low) + 2
    else:
        turn = (red - green) / (high - low) + 4
    name = HUES[int(np.searchsorted(HUE_ENDS, turn / 6.0)) % len(HUES)]
    return "brown" if name in ("orange", "red") and high < 0.5 else name


def vocabulary() -> list[str]:
    """Return every word that a caption may hold, in alphabetical order."""
    texts = [*FRAMES, *JOINS, *ADJECTIVES, *HUES, *GREYS, "brown", *ARTICLES, "a", "an", "nothing much"]
    texts += [text for lights in LIGHTS.values() for text in lights]
    texts += [word for kind in KINDS.values() for word in kind.words]
    return sorted({word.strip(" ,") for text in texts for word in text.replace("{}", "").split()} - {""})
