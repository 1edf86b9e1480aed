"""Classes for features that were learned without any (PPKT, SLidR): each class's mean direction by pseudo-labels.

Without this a student of contrast has no class to name. Means of pseudo-labelled points need no label, no setting and
no second training, and are what a checkpoint holds anyway: a vector a class, compared by direction. A linear probe
would have a rate, a length and a balance of its own, which would be measured along with the features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.frame import UNKNOWN


class Prototypes:
    """Sums of unit embeddings by class.

    Args:
        class_set: the C classes of the pseudo-labels.
        dim: D, length of the embeddings.
    """

    def __init__(self, class_set: ClassSet, dim: int) -> None:
        self.class_set = class_set
        self.sums = torch.zeros(len(class_set), dim, dtype=torch.float64)
        self.counts = torch.zeros(len(class_set), dtype=torch.int64)

    @torch.no_grad()
    def add(self, features: Tensor, labels: Tensor) -> None:
        """Count the labelled points of some scans.

        Args:
            features: (N, D) float of the global head, in evaluation mode; only their directions count.
            labels: (N,) integer pseudo-labels; 255 counts for nothing.
        """
        known = labels != UNKNOWN
        rows, own = functional.normalize(features[known].double(), dim=1).cpu(), labels[known].long().cpu()
        self.sums.index_add_(0, own, rows)
        self.counts += torch.bincount(own, minlength=len(self.counts))

    def vectors(self) -> Tensor:
        """Return (C, D) float32 class vectors of length 1: each class's mean direction; score with `normalize`.

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
        return functional.normalize(self.sums, dim=1).float()
