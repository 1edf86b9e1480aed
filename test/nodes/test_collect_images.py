"""What is wrong with an image is seen when it arrives, whatever the teacher is busy with."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_ros.collect.sets import RawImage, RawSet
from clip2scene_ros.io.bag_frames import COMPRESSED
from clip2scene_ros.io.bag_messages import typestore
from clip2scene_ros.io.bags import compressed_image_message
from clip2scene_ros.io.image import encode_jpeg
from clip2scene_ros.nodes.collect_images import EVERY_S, ImageWatch

PICTURE = encode_jpeg(np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8))
SMALLER = encode_jpeg(np.zeros((45, 80, 3), np.uint8))


def set_of(picture: bytes, keep: int | None = None) -> RawSet:
    message = typestore().serialize_cdr(compressed_image_message(picture, 1, "cam"), COMPRESSED)
    return RawSet(1, "points", b"", {"cam": RawImage(1, True, bytes(message)[:keep])})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (set_of(PICTURE), ""),
        (set_of(PICTURE + bytes(40)), ""),
        (set_of(PICTURE[: len(PICTURE) // 2]), "truncated"),
        (set_of(PICTURE[:-2]), "truncated"),  # as the decoder has it
        (set_of(SMALLER), "size"),
        (set_of(b"no picture"), "format"),
        (set_of(PICTURE, keep=30), "message"),
    ],
)
def test_an_image_that_will_be_left_out_is_counted_by_reason(raw: RawSet, reason: str) -> None:
    watch = ImageWatch(lambda raw: {"cam": (160, 90)})
    watch.look(raw)
    assert dict(watch.bad) == ({f"cam: {reason}": 1} if reason else {})


def test_a_camera_is_looked_at_twice_a_second_and_one_without_a_known_size_is_of_any() -> None:
    now_s = [0.0]
    watch = ImageWatch(lambda raw: {}, lambda: now_s[0])
    for k in range(40):  # at 20 Hz
        now_s[0] = k * 0.05
        watch.look(set_of(SMALLER if k % 2 else b"no picture"))
    assert dict(watch.bad) == {"cam: format": round(2.0 / EVERY_S)}
