"""What a row of an ablation says of the judged frames: counted by `scoring_table`, and how well it finds new words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.frame import Array, PseudoLabels
from clip2scene_ros.student.checkpoint import load_checkpoint, load_weights
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_ros.teacher.teachers import Teacher
from clip2scene_training.fill import fill_unseen
from clip2scene_training.geometry_only import label_by_geometry
from clip2scene_training.readout import embedded
from clip2scene_training.scoring_table import JudgedFrame, Row, seen_by_a_camera
from clip2scene_training.semantic import text_logits

Predict = Callable[[JudgedFrame], Array]


def judge(predict: Predict, frames: Iterable[JudgedFrame], classes: tuple[str, ...], camera: str) -> tuple[Row, Row]:
    """Return what is right of what `predict` says, and the same with "seen" being "by `camera` alone"."""
    row, alone = Row(classes), Row(classes)
    for judged in frames:
        said = predict(judged)
        row.add(judged, said)
        alone.add(replace(judged, seen=seen_by_it_alone(judged, camera)), said)
    return row, alone


def seen_by_it_alone(judged: JudgedFrame, camera: str) -> Array:
    """Return (N,) bool: seen by the camera of that name and by no other."""
    views = judged.frame.views
    own, others = (tuple(v for v in views if (v.name == camera) == mine) for mine in (True, False))
    mine, theirs = (seen_by_a_camera(replace(judged.frame, views=each), judged.points) for each in (own, others))
    alone: Array = mine & ~theirs
    return alone


def by_teacher(teacher: Teacher, filled: bool) -> Predict:
    """Return the way to a teacher's labels by the labeler's defaults; `filled` carries them to unseen points."""

    def labels(judged: JudgedFrame) -> PseudoLabels:
        # the neighbours tell how the vehicle moved; nobody looks at them
        near = [(-1, judged.before), (0, judged.frame), (1, judged.after)]
        frames = [(place, frame if not place else replace(frame, views=())) for place, frame in near if frame]
        found = Labeler(teacher, LabelerConfig()).label(frame for _, frame in frames)
        return next(each.labels for (place, _), each in zip(frames, found, strict=True) if not place)

    return lambda judged: (fill_unseen(judged.points, labels(judged)) if filled else labels(judged)).class_id


def by_geometry(teacher: Teacher) -> Predict:
    """Return the way to classes by shapes alone, in the classes of a teacher who is not asked."""
    return lambda judged: label_by_geometry(judged.points, teacher.class_set).class_id


def asked_for(
    checkpoint: Path,
    frames: Iterable[JudgedFrame],
    vectors: Tensor,
    places: dict[str, int],
    ranges: tuple[float, float],
) -> dict[str, dict[str, Any]]:
    """Return how well a student finds classes, by name: average precision, and chance, which is their share of points.

    A point's score for a class is its share in a softmax over all of them. Points out of range come last.

    Args:
        checkpoint: the student.
        frames: with ground truth.
        vectors: (C, D) of all classes, of which the student may never have heard.
        places: name -> class id of those that are asked for.
        ranges: least and most distance of points that the student sees [m].
    """
    weights, card = load_checkpoint(checkpoint)
    network = build_network(card.network)
    load_weights(network, weights)
    network.eval()
    scores: list[Array] = []
    truths: list[Array] = []
    for judged in frames:
        features, kept = embedded(network, judged.frame.scan, card.network, ranges)
        logits = text_logits(features, vectors, card.normalize, card.temperature)
        every = np.full((len(judged.frame.scan), len(places)), -np.inf, np.float32)
        every[kept] = logits.log_softmax(1)[:, list(places.values())].numpy()
        scores.append(every)
        truths.append(np.asarray(judged.frame.labels))
    score, truth = np.concatenate(scores), np.concatenate(truths)
    return {
        name: {
            "average_precision": average_precision(score[:, i], truth == class_id),
            "chance": float((truth == class_id).mean()),
        }
        for i, (name, class_id) in enumerate(places.items())
    }


def average_precision(scores: Array, right: Array) -> float | None:
    """Return the mean precision at the right points, best score first; equals come together; None without any.

    Args:
        scores: (N,) float, no NaN; -inf comes last.
        right: (N,) bool.
    """
    if not right.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(order) - 1)  # of each run of equals
    found = np.cumsum(right[order])[last]
    gained = np.diff(found, prepend=0) / right.sum()
    return float((gained * found / (last + 1)).sum())


@torch.no_grad()
def random_directions(projection: Tensor, seed: int = 0) -> Tensor:
    """Return a text projection (W, D) turned at random: words keep their angles to each other, none to images.

    Args:
        projection: of a text tower.
        seed: of the turn.
    """
    drawn = torch.randn(projection.shape[1], projection.shape[1], generator=torch.Generator().manual_seed(seed))
    turn, upper = torch.linalg.qr(drawn.double())
    turned: Tensor = (projection.double() @ (turn * upper.diagonal().sign())).to(projection)
    return turned
