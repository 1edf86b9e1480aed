"""Pictures of a scan on which two students differ: what each says, what is true, and where which of them is right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.compare.account import Look
from clip2scene_ros.drawing import legible
from clip2scene_ros.frame import UNKNOWN, Array, View
from clip2scene_ros.geometry import project, visible
from clip2scene_ros.render import bird_view, heading_of, label_view

SHOT_PX = 640
BIRD_PX = 720
ONLY_A, ONLY_B, NEITHER, DIFFERENT = range(4)
"""Kinds of points on which A and B differ: who is right, or, where nobody knows what is true, only that they differ."""
KINDS = {"only A is right": ONLY_A, "only B is right": ONLY_B, "both are wrong": NEITHER, "they differ": DIFFERENT}
COLOURS = {ONLY_A: (80, 150, 255), ONLY_B: (240, 140, 60), NEITHER: (200, 110, 230), DIFFERENT: (255, 214, 90)}
SAME = (58, 66, 80)


def kinds(look: Look) -> Array:
    """Return (N,) uint8 kind of each point, 255 where A and B say the same."""
    truth = look.frame.labels
    found = np.where(look.differ, DIFFERENT, UNKNOWN).astype(np.uint8)
    if truth is not None:
        a, b = (said.class_id == truth for said in look.said)
        judged = look.differ & (truth != UNKNOWN)
        found[judged] = np.where(a, ONLY_A, np.where(b, ONLY_B, NEITHER))[judged]
    return found


def reference(look: Look) -> tuple[str, Array] | None:
    """Return what A and B are held against, the ground truth before the teacher, with its name; None without either."""
    if look.frame.labels is not None:
        return "ground truth", look.frame.labels
    return None if look.teacher is None else ("teacher", look.teacher)


def camera_pictures(look: Look, class_set: ClassSet) -> dict[str, Array]:
    """Return caption -> the view on which A and B differ most: under A's labels, B's and the reference."""
    if not look.frame.views:
        return {}
    view = max(look.frame.views, key=lambda each: _differing(each, look))
    name, palette = view.name.replace("_", " ").lower(), legible(class_set.palette)
    return {f"{who}, {name}": label_view(view, look.points, ids, palette, SHOT_PX) for who, ids in _all(look).items()}


def bird_pictures(look: Look, class_set: ClassSet) -> dict[str, Array]:
    """Return caption -> the scan from above: A's labels, B's, the reference, and where A and B differ."""
    palette, heading = legible(class_set.palette), heading_of(look.frame)
    found = {who: bird_view(look.points, ids, palette, BIRD_PX, heading_rad=heading) for who, ids in _all(look).items()}
    found["where they differ"] = bird_view(look.points, kinds(look), _kind_palette(), BIRD_PX, heading_rad=heading)
    return found


def most_often(look: Look, class_set: ClassSet) -> str:
    """Return in words what A and B confuse most on a scan, and who is right how often."""
    a, b = (said.class_id for said in look.said)
    pairs, count = np.unique(np.stack([a, b])[:, look.differ], axis=1, return_counts=True)
    parts = [f"{int(look.differ.sum()):,} of {len(a):,} points differ"]
    if look.frame.labels is not None:
        parts += [f"{(kinds(look) == kind).sum():,}: {text}" for text, kind in KINDS.items() if kind != DIFFERENT]
    top = np.argsort(-count, kind="stable")[:3]
    parts += [f"A {_name(class_set, pairs[0, i])}, B {_name(class_set, pairs[1, i])} ({count[i]:,})" for i in top]
    return "; ".join(parts) + "."


def _all(look: Look) -> Mapping[str, Array]:
    known = reference(look)
    return {"A": look.said[0].class_id, "B": look.said[1].class_id, **({known[0]: known[1]} if known else {})}


def _differing(view: View, look: Look) -> int:
    uv, depth, inside = project(look.points, view)
    return int((visible(uv, depth, inside, view.camera) & look.differ).sum())


def _kind_palette() -> Array:
    palette = np.full((256, 3), SAME, dtype=np.uint8)
    for kind, colour in COLOURS.items():
        palette[kind] = colour
    return palette


def _name(class_set: ClassSet, class_id: int) -> str:
    return "unknown" if class_id == UNKNOWN else class_set.names[class_id]
