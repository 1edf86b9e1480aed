"""Dense CLIP features: images in, a unit vector for every patch out, comparable with text.

MaskCLIP (Zhou et al., ECCV 2022) showed that CLIP's last block, read patch by patch, knows what is where; its
successors exchange that block's attention (`attention.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.config import DenseConfig
from clip2scene_ros.errors import BadImage
from clip2scene_ros.frame import Array
from clip2scene_ros.teacher.clip import Clip
from clip2scene_ros.teacher.maps import FeatureMap, sampled
from clip2scene_ros.teacher.tower import check_tower, learned_size, official_tower, patch_features, patch_size
from clip2scene_ros.teacher.windows import Mosaic, Size, padded, parse_scales, resized, scaled_size, tile

External = Callable[[Tensor], Tensor]
"""(B, 3, H, W) RGB windows in [0, 1] -> (B, d, h, w) features of another network, at any resolution."""

OFFICIAL = DenseConfig(read_out="full", affinity="identity", mode="whole", short_side_px=224, official=True)
"""What CLIP2Scene's code does."""


class DenseClip:
    """Looks at images with CLIP's image tower.

    Attributes:
        config: settings; the model's own where none are given.
        clip: the model.
    """

    def __init__(self, clip: Clip, config: DenseConfig | None = None, external: External | None = None) -> None:
        """Prepare the tower.

        Args:
            clip: a model whose image tower is a ViT or a ModifiedResNet.
            config: read-out, affinity, windows; None takes the model's own.
            external: another network's features, for the affinity `external`.

        Raises:
            BadTeacher: `tower`: an image tower without patches to read.
            BadConfig: scales that are no numbers.
        """
        self.clip, self.config, self._external = clip, config or clip.card.dense, external
        check_tower(clip.model.visual)
        self._scales = parse_scales(self.config.scales)
        visual: Any = official_tower(clip.model.visual) if self.config.official else clip.model.visual
        self._dtype = torch.float16 if clip.half else torch.float32
        self._visual = _halved(visual) if clip.half else visual
        self._patch: Size = patch_size(visual)
        self._learned: Size = learned_size(visual)
        mean, std = ((0.0,) * 3, (1.0,) * 3) if self.config.official else (clip.card.mean, clip.card.std)
        self._mean, self._std = (torch.tensor(v, device=clip.device).view(3, 1, 1) for v in (mean, std))

    @torch.inference_mode()
    def look(self, images: Sequence[Array]) -> list[FeatureMap]:
        """Return the feature map of each image; images of one size are computed together.

        Args:
            images: (H, W, 3) uint8 RGB, of any sizes.

        Raises:
            BadImage: `shape`: an array that is no such image.
        """
        for image in images:
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
                raise BadImage("shape", f"Expected (H, W, 3) uint8 RGB, but got {image.shape} {image.dtype}.")
        maps: dict[int, FeatureMap] = {}
        for size in {image.shape for image in images}:
            members = [i for i, image in enumerate(images) if image.shape == size]
            maps.update(zip(members, self._look([images[i] for i in members]), strict=True))
        return [maps[i] for i in range(len(images))]

    @torch.inference_mode()
    def patches(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features, tokens and keys of images or windows as they are (`tower.patch_features`).

        Args:
            images: (B, 3, H, W) float32 RGB in [0, 1]; filled with the mean colour to whole patches.
        """
        external = self._external(images) if self._external and self.config.affinity == "external" else None
        # Normalisation makes the mean colour zero: CLIP2Scene's code fills with zeros after it.
        pixels = (padded(images, self._patch, self._mean) - self._mean) / self._std
        return patch_features(self._visual, pixels.to(self._dtype), self.config, external)

    def _look(self, images: Sequence[Array]) -> list[FeatureMap]:
        stacked = torch.from_numpy(np.stack(images)).to(self.clip.device).permute(0, 3, 1, 2).float() / 255
        looks = [self._at_scale(stacked, factor) for factor in sorted(self._scales, reverse=True)]
        return [_averaged(of_one_image) for of_one_image in zip(*looks, strict=True)]

    def _at_scale(self, images: Tensor, factor: float) -> list[FeatureMap]:
        """Return one map an image, blended of its windows."""
        size: Size = (images.shape[2], images.shape[3])
        scaled = scaled_size(size, self.config.short_side_px, factor)
        canvas = padded(resized(images, scaled), self._patch, self._mean)
        tiling = tile((canvas.shape[2], canvas.shape[3]), self._patch, self._learned, self.config)
        grid, window = (_in_patches(each, self._patch) for each in ((canvas.shape[2], canvas.shape[3]), tiling.window))
        mosaics = [Mosaic(grid, window, self.config.blend) for _ in images]
        keys = [Mosaic(grid, window, self.config.blend) for _ in images]
        jobs = [(image, corner) for image in range(len(images)) for corner in tiling.corners]
        height, width = tiling.window
        for start in range(0, len(jobs), self.config.batch):
            batch = jobs[start : start + self.config.batch]
            crops = torch.stack([canvas[i, :, y : y + height, x : x + width] for i, (y, x) in batch])
            features, _, windows_keys = self.patches(crops)
            for (i, corner), feature, key in zip(batch, features, windows_keys, strict=True):
                mosaics[i].add(_in_patches(corner, self._patch), feature)
                if self.config.key_smoothing:
                    unit = functional.normalize(key, dim=-1).view(*window, -1)
                    keys[i].add(_in_patches(corner, self._patch), unit)
        cell_px = tuple(p * n / s for p, n, s in zip(self._patch, size, scaled, strict=True))
        return [
            FeatureMap(m.unit(), size, (cell_px[0], cell_px[1]), k.unit() if self.config.key_smoothing else None)
            for m, k in zip(mosaics, keys, strict=True)
        ]


def _halved(visual: torch.nn.Module) -> torch.nn.Module:
    return copy.deepcopy(visual).half()


def _in_patches(size: Size, patch: Size) -> Size:
    return (size[0] // patch[0], size[1] // patch[1])


def _averaged(looks: Sequence[FeatureMap]) -> FeatureMap:
    """Return the mean of several looks at one image, on the grid of the first, the finest."""
    finest = looks[0]
    if len(looks) == 1:
        return finest
    centres = finest.centres()
    features = finest.features + sum(sampled(look.features, look.cell_px, centres) for look in looks[1:])
    return FeatureMap(functional.normalize(features, dim=-1), finest.size, finest.cell_px, finest.keys)
