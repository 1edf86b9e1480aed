"""Looks at images when they arrive: the teacher does so when their frame's turn comes, which may be seconds later."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from clip2scene_ros.collect.sets import RawImage, RawSet
from clip2scene_ros.errors import BadImage
from clip2scene_ros.io.bag_frames import COMPRESSED
from clip2scene_ros.io.bag_messages import typestore
from clip2scene_ros.io.image import picture_size

EVERY_S = 0.5
"""Of each camera so often, which costs next to nothing."""

Sizes = Mapping[str, tuple[int, int]]


class ImageWatch:
    """Counts compressed images that will be left out, of those it looks at.

    Args:
        sizes: returns camera -> width and height that its calibration is of [px], where it is known.
        now_s: a steady clock [s].

    Attributes:
        bad: `CAMERA: REASON` -> images.
    """

    def __init__(self, sizes: Callable[[RawSet], Sizes], now_s: Callable[[], float] = time.monotonic) -> None:
        self.bad: Counter[str] = Counter()
        self._sizes, self._now_s = sizes, now_s
        self._looked_s: dict[str, float] = {}

    def look(self, raw: RawSet) -> None:
        """Look at those images of a set whose turn it is."""
        now_s = self._now_s()
        due = {
            name: image
            for name, image in raw.images.items()
            if image.compressed and now_s - self._looked_s.get(name, float("-inf")) >= EVERY_S
        }
        self._looked_s |= dict.fromkeys(due, now_s)
        sizes = self._sizes(raw) if due else {}
        for name, image in due.items():
            if reason := fault(image, sizes.get(name)):
                self.bad[f"{name}: {reason}"] += 1


def fault(image: RawImage, size: tuple[int, int] | None) -> str:
    """Return why a compressed image cannot be used, or an empty string."""
    try:
        data = typestore().deserialize_cdr(image.data, COMPRESSED).data  # type: ignore[attr-defined]
    except Exception:  # generated decoders raise whatever slicing short bytes raises
        return "message"
    try:
        found = picture_size(data)
    except BadImage as error:
        return error.reason
    return "" if size is None or found == size else "size"
