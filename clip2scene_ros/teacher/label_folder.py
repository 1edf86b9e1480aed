"""A folder of label images: what another segmenter writes, file by file, and how it is read."""

from __future__ import annotations

import io
import zlib
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.config import DenseConfig, ImageLimits, TextConfig
from clip2scene_ros.errors import BadImage, BadTeacher
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Array, View
from clip2scene_ros.io.image_header import PNG_START, check_header
from clip2scene_ros.teacher.classify import classify
from clip2scene_ros.teacher.external import ExternalTeacher, label_image
from clip2scene_ros.teacher.maps import FeatureMap
from clip2scene_ros.teacher.teachers import PixelClasses
from clip2scene_ros.teacher.text import ClassVectors, class_vectors, load_rows

CLASSES, WORDS = "classes.yaml", "words.safetensors"
CONFIDENCE = "_confidence"
DEPTH_AT, COLOUR_AT = 24, 25
GREY, PALETTE = 0, 3
"""Bytes of a PNG's header, and its colour types."""


class LabelFolder:
    """`FOLDER/CAMERA/STAMP_NS.png` with optional `STAMP_NS_confidence.png`, or `STAMP_NS.npy` with features."""

    def __init__(self, folder: Path, class_set: ClassSet, text: TextConfig | None = None) -> None:
        """Read from `folder`; `text` says how words become classes where there are features."""
        self.folder, self._class_set, self._text = folder, class_set, text

    def __str__(self) -> str:
        """Return the folder."""
        return str(self.folder)

    def read(self, view: View) -> PixelClasses | None:
        """Return the labels of a view, else what its features say, else None.

        Raises:
            BadTeacher: `png`, `size`, `class_id`, `features`; what `load_rows` finds in the folder's words.
        """
        place = self.folder / view.name / str(view.stamp_ns)
        labels, features = place.with_name(f"{place.name}.png"), place.with_name(f"{place.name}.npy")
        if labels.is_file():
            sure = place.with_name(f"{place.name}{CONFIDENCE}.png")
            confidence = read_png(sure, indexed=False) if sure.is_file() else None
            return label_image(read_png(labels), confidence, view, len(self._class_set), str(labels))
        if features.is_file():
            return classify(self._features(features, view), self._vectors, DenseConfig())
        return None

    @cached_property
    def _vectors(self) -> ClassVectors:
        return class_vectors(load_rows(self.folder / WORDS), self._class_set, self._text)

    def _features(self, path: Path, view: View) -> FeatureMap:
        """Return the features of a `.npy` file: (h, w, D), an even grid over the image."""
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a header cannot claim what is not there
        except (OSError, ValueError, EOFError) as error:
            raise BadTeacher("features", f"{path}: expected an array of numbers in .npy, but: {error}") from error
        if array.ndim != 3 or 0 in array.shape or array.dtype.kind != "f":
            raise BadTeacher(
                "features",
                f"{path}: expected features (h, w, D) of floats, but got {array.dtype} of shape {array.shape}.",
            )
        features = torch.from_numpy(array.astype(np.float32))
        if not bool(torch.isfinite(features).all()):
            raise BadTeacher("features", f"{path}: expected finite numbers, but found NaN or infinity.")
        size = (view.camera.height, view.camera.width)
        cell_px = (size[0] / array.shape[0], size[1] / array.shape[1])
        return FeatureMap(functional.normalize(features, dim=-1), size, cell_px)


def folder_teacher(folder: Path, text: TextConfig | None = None) -> ExternalTeacher:
    """Return the teacher of a folder of label images.

    Raises:
        BadTeacher: `folder`: no such folder, or no class set in it.
        BadClassSet: a class set that is malformed.
    """
    if not (folder / CLASSES).is_file():
        raise BadTeacher(
            "folder",
            f"{folder}: expected a folder with {CLASSES} and CAMERA/STAMP.png (docs/external.md), but "
            f"{f'it has no {CLASSES}' if folder.is_dir() else 'there is no such folder'}.",
        )
    class_set = load_class_set(str(folder / CLASSES))
    return ExternalTeacher(class_set, LabelFolder(folder, class_set, text))


def read_png(path: Path, *, indexed: bool = True) -> Array:
    """Return (H, W) uint8: the grey values of an 8-bit PNG, or the indices of one with a palette.

    Raises:
        BadTeacher: `png`: damaged, or of another kind.
    """
    data = path.read_bytes()
    try:
        check_header(memoryview(data), ImageLimits())
    except BadImage as error:
        raise BadTeacher("png", f"{path}: {error}") from error
    depth, colour = data[DEPTH_AT], data[COLOUR_AT]
    kinds = "8-bit grey or palette" if indexed else "8-bit grey"
    if data[: len(PNG_START)] != PNG_START or not ((colour == GREY and depth == 8) or (indexed and colour == PALETTE)):
        raise BadTeacher("png", f"{path}: expected a PNG of {kinds}, but got colour type {colour} of {depth} bits.")
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            return np.array(image)
    except (OSError, ValueError, SyntaxError, zlib.error) as error:
        raise BadTeacher("png", f"{path}: the picture cannot be decoded to its end: {str(error)[:100]}.") from error


def write_classes(folder: Path, class_set: ClassSet) -> None:
    """Write `classes.yaml`, which says what the ids of a folder's label images mean."""
    with whole_file(folder / CLASSES) as file:
        file.write((class_set.to_json() + "\n").encode())  # JSON is YAML


def write_teacher_image(
    folder: Path, camera: str, stamp_ns: int, class_id: Array, confidence: Array | None = None
) -> None:
    """Write what a segmenter says of one image.

    Args:
        folder: of all label images.
        camera: name of the camera, as `View.name`: `cam_front` for the topic `/cam_front/image/compressed`.
        stamp_ns: of the image's header [ns].
        class_id: (H, W) integers: place in the class set, 255 unknown.
        confidence: (H, W) floats in [0, 1]; None is certain.

    Raises:
        BadTeacher: shapes or values that do not fit.
    """
    ids = np.asarray(class_id)
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or not ids.size or ids.min() < 0 or ids.max() > 255:
        raise BadTeacher("class_id", f"Expected class ids (H, W) in 0..255, but got {ids.dtype} of shape {ids.shape}.")
    _write_png(folder / camera / f"{stamp_ns}.png", ids.astype(np.uint8))
    if confidence is None:
        return
    sure = np.asarray(confidence)
    if sure.shape != ids.shape or not ((sure >= 0) & (sure <= 1)).all():
        raise BadTeacher("confidence", f"Expected confidences in [0, 1] of shape {ids.shape}, but got {sure.shape}.")
    _write_png(folder / camera / f"{stamp_ns}{CONFIDENCE}.png", np.rint(255.0 * sure).astype(np.uint8))


def _write_png(path: Path, image: Array) -> None:
    with whole_file(path) as file:
        Image.fromarray(image).save(file, format="PNG")
