"""Classes as data: from class sets to class vectors, and from scores to a decision."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadClassSet
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_ros.student.checkpoint import CheckpointCard


def vectors_of(class_set: ClassSet, card: CheckpointCard) -> Tensor:
    """Return (C, D) the class vectors that a checkpoint holds for `class_set`, found by name.

    Any selection of the checkpoint's classes in any order will do; a student that learned with labels
    knows no others.

    Raises:
        BadClassSet: a class that the checkpoint has no vector for.
    """
    known = card.class_set.names
    missing = [name for name in class_set.names if name not in known]
    if missing:
        raise BadClassSet(
            "no_vectors",
            f"The checkpoint has no vectors for {', '.join(missing)}: class set `{class_set.name}` asks for "
            f"{', '.join(class_set.names)}; text model of the checkpoint: {card.text_model}; it knows: "
            f"{', '.join(known)}. Choose a class set of these, or another checkpoint.",
        )
    return card.class_vectors[[known.index(name) for name in class_set.names]]


def decide(scores: Tensor, min_probability: float) -> tuple[Array, Array, Array]:
    """Turn scores into class, probability and entropy; ties go to the lower class.

    Args:
        scores: (V, C) float32 logits on the CPU, C >= 1.
        min_probability: less probable rows come out unknown, as do rows that are not finite.

    Returns:
        (V,) uint8 class id; (V,) float32 probability; (V,) float32 Shannon entropy over ln C, in [0, 1],
        and 0 where C is 1. Unknown rows hold 255, 0 and 1.
    """
    probabilities = scores.softmax(1)
    probability, class_id = probabilities.max(1)
    nats = torch.special.entr(probabilities).sum(1)
    entropy = (nats / math.log(scores.shape[1])).clamp_(0, 1) if scores.shape[1] > 1 else torch.zeros_like(nats)
    unsure = ~(probability >= min_probability)  # written so that NaN counts as unsure
    return (
        class_id.to(torch.uint8).masked_fill_(unsure, UNKNOWN).numpy(),
        probability.masked_fill_(unsure, 0.0).numpy(),
        entropy.masked_fill_(unsure, 1.0).numpy(),
    )
