"""Classes for features that were learned without any (PPKT, SLidR): a linear probe on pseudo-labels, in closed form.

Without it a student of contrast has no class to name. Least squares needs no rate, no length of training and no seed,
sees each scan once, and is a vector a class, as a checkpoint holds it. Mean embeddings would be simpler still, but
compare all directions alike, whether or not they tell classes apart, and rare classes as often as frequent ones.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadTeacher
from clip2scene_training.survey import class_weights

BALANCE = 0.5
"""Classes weigh frequency ** -0.5, as in the supervised training: neither points nor classes count equally."""
RIDGE = 1e-3
"""Share of the mean variance that is added to all directions: some may hold nothing."""


class LinearProbe:
    """Sums over labelled points of which a probe is made; embeddings count by their direction.

    Args:
        class_set: the C classes of the pseudo-labels.
        dim: D, length of the embeddings.
    """

    def __init__(self, class_set: ClassSet, dim: int) -> None:
        self.class_set = class_set
        self.counts = torch.zeros(len(class_set), dtype=torch.int64)
        self.sums = torch.zeros(len(class_set), dim, dtype=torch.float64)
        self.squares = torch.zeros(len(class_set), dim, dim, dtype=torch.float64)

    @torch.no_grad()
    def add(self, features: Tensor, labels: Tensor) -> None:
        """Count the labelled points of some scans.

        Args:
            features: (N, D) float of the global head, in evaluation mode.
            labels: (N,) integer pseudo-labels; 255 counts for nothing.
        """
        for label in range(len(self.counts)):
            own = functional.normalize(features[labels == label].double(), dim=1).cpu()
            self.counts[label] += len(own)
            self.sums[label] += own.sum(0)
            self.squares[label] += own.T @ own

    def vectors(self) -> Tensor:
        """Return (C, D) float32 class vectors; the highest scalar product with an embedding is its class.

        They are those w that make sum over points of weight * (w_c . f - [the point is of class c])^2 least, f being
        of length 1. Their lengths count: score without `normalize`. Scores then order classes; they are no logits.

        Raises:
            BadTeacher: `classes`: no point has the pseudo-label of some class, so nothing can be said of it.
        """
        missing = [name for name, count in zip(self.class_set.names, self.counts.tolist(), strict=True) if not count]
        if missing:
            raise BadTeacher(
                "classes",
                f"No point of {int(self.counts.sum())} has a pseudo-label of {', '.join(missing)}: features without "
                "classes cannot be read out for these. Give more frames, or a class set without them.",
            )
        weights = class_weights(self.counts[None].numpy(), BALANCE).double()
        square = (weights[:, None, None] * self.squares).sum(0)
        ridge = RIDGE * square.trace() / len(square) * torch.eye(len(square), dtype=torch.float64)
        solved: Tensor = torch.linalg.solve(square + ridge, (weights[:, None] * self.sums).T)
        return solved.T.float().contiguous()
