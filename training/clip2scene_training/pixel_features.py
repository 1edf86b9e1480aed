"""What CLIP sees at the pixels of pairs: it looks at each sample's crops, or has looked once at whole images.

A map of a whole image has a feature a patch and is kept in half precision, so that training on the CPU need not wait
for CLIP; crops are what the paper does.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.config import ClipConfig
from clip2scene_ros.errors import BadDataset
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Frame
from clip2scene_ros.settings import with_settings
from clip2scene_ros.teacher.dense import DenseClip
from clip2scene_ros.teacher.maps import FeatureMap, sampled
from clip2scene_training.parallel import Progress, in_processes
from clip2scene_training.pretrain_samples import PretrainSample
from clip2scene_training.pseudo_labels import SceneFrames, label_files
from clip2scene_training.teachers import shipped_or_other

BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def features_at(maps: Sequence[FeatureMap], view: Tensor, pixel: Tensor) -> Tensor:
    """Return (P, d) float32 features of length 1 at pixels, bilinear between the middles of patches.

    Args:
        maps: of all images that `view` counts.
        view: (P,) int64 image of each pixel.
        pixel: (P, 2) float32 row and column, the middle of a pixel at integers.
    """
    width = maps[0].features.shape[-1] if maps else 0
    found = torch.zeros(len(view), width, device=pixel.device)
    for number, each in enumerate(maps):
        mine = (view == number).nonzero().squeeze(1)
        found[mine] = sampled(each.features, each.cell_px, pixel[mine].flip(1)).to(pixel.device)
    return functional.normalize(found, dim=1)


def dense_clip(clip: ClipConfig, dense: dict[str, Any]) -> DenseClip:
    """Return the image side of a CLIP, read as its labels are: `dense` replaces settings of the model's own card."""
    model = shipped_or_other(clip)
    return DenseClip(model, with_settings(model.card.dense, dense))


class PairFeatures:
    """Gives the features of a batch's pairs: of the maps that come with it, else CLIP looks at its images."""

    def __init__(self, clip: ClipConfig, dense: dict[str, Any]) -> None:
        self._clip, self._dense = clip, dense

    def of(self, batch: PretrainSample) -> Tensor:
        """Return (P, d) float32 features of length 1, on the device of the batch's pairs."""
        images = [] if batch.maps else [image.cpu().numpy() for image in batch.images]
        return features_at(batch.maps or self._looks.look(images), batch.pair_view, batch.pair_pixel)

    @cached_property
    def _looks(self) -> DenseClip:
        return dense_clip(self._clip, self._dense)


class KeptMaps:
    """Feature maps of a data set's images, as `make_maps` left them; none is read before it is asked for."""

    def __init__(self, folder: Path, scenes: Sequence[str]) -> None:
        self._files = label_files(folder, scenes)

    def of(self, index: int, frame: Frame) -> list[FeatureMap]:
        """Return the map of each image of frame number `index`.

        Raises:
            BadDataset: the maps are missing, damaged, or of other images.
        """
        path = self._files[index]
        try:
            with np.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
            if not np.array_equal(found["images"], _checksums(frame)):
                raise ValueError("they are of other images")
            return [_map(found, v) for v in range(len(frame.views))]
        except BROKEN as error:
            raise BadDataset("maps", f"{path} does not hold features of this frame ({error}); delete it.") from error


def make_maps(
    frames: SceneFrames,
    clip: ClipConfig,
    dense: dict[str, Any],
    folder: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> KeptMaps:
    """Look at the images that were not looked at yet, and return the maps of all.

    Args:
        frames: the data set, with images.
        clip: the model.
        dense: settings of DenseConfig that replace the model's own.
        folder: for these maps alone: its name must tell data, model and settings.
        workers: processes; 1 looks in this one.
        progress: called with (scenes done, scenes in all).
    """
    files = label_files(folder, frames.scenes)
    scenes = [[i for i, _ in group] for _, group in groupby(enumerate(frames.scenes), key=lambda each: each[1])]
    jobs = [(frames, scene, clip, dense, files) for scene in scenes if not all(files[i].is_file() for i in scene)]
    in_processes(_keep_scene, jobs, workers, len(scenes), progress or (lambda done, total: None))
    return KeptMaps(folder, frames.scenes)


def _keep_scene(
    frames: SceneFrames, scene: list[int], clip: ClipConfig, dense: dict[str, Any], files: list[Path]
) -> None:
    looks = dense_clip(clip, dense)
    for i in scene:
        frame = frames[i]
        arrays: dict[str, Any] = {"images": _checksums(frame)}
        for v, seen in enumerate(looks.look([view.image for view in frame.views])):
            arrays |= {
                f"{v}.features": seen.features.half().cpu().numpy(),
                f"{v}.size": seen.size,
                f"{v}.cell": seen.cell_px,
            }
        with whole_file(files[i]) as file:
            np.savez(file, **arrays)


def _map(found: dict[str, Any], v: int) -> FeatureMap:
    height, width = (int(side) for side in found[f"{v}.size"])
    down, across = (float(side) for side in found[f"{v}.cell"])
    return FeatureMap(torch.from_numpy(found[f"{v}.features"]), (height, width), (down, across))


def _checksums(frame: Frame) -> Any:  # noqa: ANN401 - an array of uint32
    return np.array([zlib.crc32(view.image.tobytes()) for view in frame.views], np.uint32)
