"""Maps over an image: a feature, then a score of each class, for every patch, and both at any pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.frame import UNKNOWN, Array

ROWS_AT_ONCE = 64
"""Image rows drawn at once: 254 classes of a 1600 px wide image take 104 MB."""


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """What CLIP sees in each patch of an image.

    Attributes:
        features: (h, w, D) float32 of length 1.
        size: height and width of the image [px].
        cell_px: height and width of a patch in pixels of the image, of which the first lies in the upper left corner.
        keys: (h, w, width) float32 of length 1, the last block's, where key smoothing needs them.
    """

    features: Tensor
    size: tuple[int, int]
    cell_px: tuple[float, float]
    keys: Tensor | None = None

    def centres(self) -> Tensor:
        """Return (h, w, 2) the pixel (column, row) in the middle of each patch."""
        h, w = self.features.shape[:2]
        device = self.features.device
        rows = (torch.arange(h, device=device) + 0.5) * self.cell_px[0] - 0.5
        columns = (torch.arange(w, device=device) + 0.5) * self.cell_px[1] - 0.5
        return torch.stack([columns.expand(h, w), rows[:, None].expand(h, w)], dim=-1)


@dataclass(frozen=True, eq=False)
class ClassMap:
    """How well each class fits each patch of an image.

    Attributes:
        scores: (h, w, K) float32: cosines, or what refinement made of them; times `scale` they are logits.
        scale: of the softmax.
        classes: C <= K; what lies beyond absorbs: sky and the like.
        size, cell_px: as in FeatureMap.
        feature: (D,) float32, the mean of the image's features, where it came from some.
    """

    scores: Tensor
    scale: float
    classes: int
    size: tuple[int, int]
    cell_px: tuple[float, float]
    feature: Tensor | None = None

    def at(self, pixels: Tensor) -> Tensor:
        """Return (..., K) the probabilities at pixels.

        Scores are interpolated between the middles of patches, as in bilinear upsampling.

        Args:
            pixels: (..., 2) column and row, integers in the middle of a pixel; outside, the nearest patch counts.
        """
        return (self.scale * sampled(self.scores, self.cell_px, pixels)).softmax(-1)

    def labels(self) -> tuple[Array, Array]:
        """Return the image's (H, W) uint8 class ids, 255 where an absorber won, and (H, W) float32 probabilities."""
        parts = [surest(self.at(pixels), self.classes) for pixels in self._rows()]
        class_id, probability = (torch.cat(part) for part in zip(*parts, strict=True))
        return class_id.cpu().numpy(), probability.cpu().numpy()

    def _rows(self) -> Iterator[Tensor]:
        height, width = self.size
        columns = torch.arange(width, device=self.scores.device)
        for start in range(0, height, ROWS_AT_ONCE):
            rows = torch.arange(start, min(start + ROWS_AT_ONCE, height), device=self.scores.device)
            shape = (len(rows), width)
            yield torch.stack([columns.expand(shape), rows[:, None].expand(shape)], dim=-1).float()


def surest(probabilities: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return (...) uint8 class ids and float32 probabilities; an absorber's are 255 and 0.

    Args:
        probabilities: (..., K).
        classes: C; columns from C on absorb.
    """
    probability, class_id = probabilities.max(-1)
    absorbed = class_id >= classes
    return class_id.masked_fill(absorbed, UNKNOWN).to(torch.uint8), probability.masked_fill(absorbed, 0.0)


def sampled(values: Tensor, cell_px: tuple[float, float], pixels: Tensor) -> Tensor:
    """Return (..., D) of (h, w, D) values at (..., 2) pixels (column, row), bilinear; the border goes on outside."""
    h, w = values.shape[:2]
    step = torch.tensor([cell_px[1] * w, cell_px[0] * h], dtype=torch.float32, device=values.device)
    places = (pixels.to(values.device).float() + 0.5) * 2 / step - 1
    found = functional.grid_sample(
        values.permute(2, 0, 1)[None].float(),
        places.reshape(1, 1, -1, 2),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return found[0, :, 0].T.reshape(*pixels.shape[:-1], values.shape[2])
