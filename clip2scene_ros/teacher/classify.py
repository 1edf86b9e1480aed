"""Features meet text: the classes of an image, with MaskCLIP's two refinements on request."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.config import DenseConfig
from clip2scene_ros.teacher.maps import ClassMap, FeatureMap
from clip2scene_ros.teacher.text import ClassVectors

DROPPED = -100.0
"""The score of a class that prompt denoising drops, as in MaskCLIP: below any cosine."""
SMALLEST = 1e-12
"""Probabilities below this count as this, so that their logarithms are finite."""


@torch.inference_mode()
def classify(seen: FeatureMap, vectors: ClassVectors, config: DenseConfig) -> ClassMap:
    """Return how well each class fits each patch.

    Args:
        seen: features of an image.
        vectors: the classes' text.
        config: prompt denoising and key smoothing are read.
    """
    scores = vectors.scores(seen.features)
    if config.prompt_denoising:
        scores = denoise(scores.flatten(0, 1), vectors.scale, config.prompt_denoising).view_as(scores)
    if config.key_smoothing and seen.keys is not None:
        probabilities = (vectors.scale * scores).softmax(-1).flatten(0, 1)
        smooth = smoothed(probabilities, seen.keys.flatten(0, 1), config.key_smoothing)
        smooth = smooth / smooth.sum(-1, keepdim=True)
        scores = smooth.clamp_min(SMALLEST).log().view_as(scores) / vectors.scale
    return ClassMap(scores, vectors.scale, len(vectors.class_set), seen.size, seen.cell_px)


def denoise(scores: Tensor, scale: float, threshold: float) -> Tensor:
    """Drop the classes that no patch of the image is sure of (prompt denoising); the surest one always stays.

    Args:
        scores: (N, K) of all patches of one image.
        scale: of the softmax.
        threshold: a class must reach this probability somewhere.
    """
    surest = (scale * scores).softmax(-1).amax(0)
    dropped = (surest < threshold) & (surest < surest.max())
    return scores.masked_fill(dropped, DROPPED)


def smoothed(probabilities: Tensor, keys: Tensor, threshold: float, official: bool = False) -> Tensor:
    """Let patches that are unsure ask those with like keys (key smoothing): K K^T times probabilities.

    Args:
        probabilities: (N, K).
        keys: (N, width).
        threshold: patches at least this sure keep what they have.
        official: as MaskCLIP's code: keys are brought to length 1 along the patches, not each by itself, and unlike
            keys count against; else they count nothing.

    Returns:
        (N, K) weights, of which the rows do not sum to 1.
    """
    unit = functional.normalize(keys, dim=0 if official else 1)
    likeness = unit @ unit.T
    likeness = likeness if official else likeness.clamp_min(0.0)
    unsure = probabilities.amax(-1, keepdim=True) < threshold
    return torch.where(unsure, likeness @ probabilities, probabilities)
