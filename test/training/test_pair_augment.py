"""Crops and mirrors: what is drawn at a pair's pixel before is found at its pixel afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_training.config import ImageAugmentConfig
from clip2scene_training.pair_augment import Crop, draw_crop
from clip2scene_training.pairs import nearest


@st.composite
def crops(draw):
    """A crop of an image, shrunk or enlarged, each side on its own."""
    size = draw(st.integers(20, 90)), draw(st.integers(20, 120))
    height, width = draw(st.integers(8, size[0])), draw(st.integers(8, size[1]))
    top, left = draw(st.integers(0, size[0] - height)), draw(st.integers(0, size[1] - width))
    out = draw(st.integers(6, 100)), draw(st.integers(6, 140))
    return size, Crop(top, left, height, width, *out, draw(st.booleans()))


@settings(max_examples=150)
@given(crops(), st.integers(0, 2**32 - 1))
def test_the_colour_at_a_pair_goes_where_the_pair_goes(case, seed):
    size, crop = case
    rng = np.random.default_rng(seed)
    pixel = rng.uniform(-0.49, np.array(size) - 0.51, (1, 2)).astype(np.float32)
    image = np.zeros((*size, 3), np.uint8)
    (row, column), colour = nearest(pixel, size)[0], rng.integers(1, 256, 3).astype(np.uint8)
    shrunk = max(1.0, crop.height / crop.out_height, crop.width / crop.out_width)
    reach = int(np.ceil(1.5 * shrunk)) + 1  # a new pixel is the mean of old ones up to this far from its middle
    image[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = colour
    inside = crop.top <= row < crop.top + crop.height and crop.left <= column < crop.left + crop.width
    assert crop.holds(pixel).tolist() == [inside]
    drawn = crop.drawn(image)
    assert drawn.shape == (crop.out_height, crop.out_width, 3)
    assert drawn.dtype == np.uint8
    if inside:
        there = nearest(crop.moved(pixel), drawn.shape[:2])[0]
        assert np.abs(crop.moved(pixel)[0] - there).max() <= 0.5 + 1e-3  # it lies in that pixel, nothing is clipped
        assert np.array_equal(drawn[tuple(there)], colour)


@settings(max_examples=100)
@given(crops())
def test_places_are_exact_to_a_fraction_of_a_pixel(case):
    size, crop = case
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    drawn = crop.drawn(np.stack([rows, columns], axis=-1))  # each new pixel tells where in the old image its middle is
    margin = [out // part + 3 for out, part in ((crop.out_height, crop.height), (crop.out_width, crop.width))]
    there = np.stack(np.mgrid[: crop.out_height, : crop.out_width], axis=-1)
    inner = (slice(margin[0], -margin[0]), slice(margin[1], -margin[1]))  # at the border resizing repeats pixels
    old, new = drawn[inner].reshape(-1, 2), there[inner].reshape(-1, 2)
    shrinks = crop.height > crop.out_height or crop.width > crop.out_width
    exact = 0.1 if shrinks else 2e-3  # the middle of what is averaged is not quite that of the new pixel
    np.testing.assert_allclose(crop.moved(old), new, atol=exact)


def test_the_whole_image_at_its_own_size_changes_nothing_and_a_mirror_is_its_own_inverse():
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    pixel = np.random.default_rng(1).uniform(0, 29, (50, 2)).astype(np.float32)
    same, mirror = Crop(0, 0, 30, 40, 30, 40), Crop(0, 0, 30, 40, 30, 40, mirrored=True)
    assert np.array_equal(same.drawn(image), image)
    assert np.array_equal(same.moved(pixel), pixel)
    assert np.array_equal(mirror.drawn(image), image[:, ::-1])
    np.testing.assert_allclose(mirror.moved(mirror.moved(pixel)), pixel, atol=1e-5)
    np.testing.assert_allclose(mirror.moved(pixel)[:, 1], 39 - pixel[:, 1], atol=1e-5)


SIZE = (180, 320)


def pixels(count, seed=0):
    return np.random.default_rng(seed).uniform(0, np.array(SIZE) - 1, (count, 2)).astype(np.float32)


def test_crops_have_the_asked_area_and_shape_and_are_taken_only_with_enough_pairs():
    config = ImageAugmentConfig()
    many, few = pixels(6000), pixels(400)
    drawn = [draw_crop(SIZE, many, config, np.random.default_rng(s)) for s in range(300)]
    area = np.array([c.height * c.width for c in drawn]) / (SIZE[0] * SIZE[1])
    ratio = np.array([c.width / c.height for c in drawn])
    assert 0.29 < area.min() < 0.36
    assert 0.9 < area.max() <= 1.0
    assert 14 / 9 - 0.02 < ratio.min() < 1.6
    assert 1.8 < ratio.max() < 17 / 9 + 0.02
    assert all(c.holds(many).sum() > 1024 for c in drawn)
    assert 110 < sum(c.mirrored for c in drawn) < 190
    assert all(0 <= c.top <= SIZE[0] - c.height and 0 <= c.left <= SIZE[1] - c.width for c in drawn)
    assert len({c.left for c in drawn}) > 20
    assert all(draw_crop(SIZE, few, config, np.random.default_rng(s)).holds(few).mean() > 0.75 for s in range(100))
    assert drawn[7] == draw_crop(SIZE, many, config, np.random.default_rng(7))


def test_without_a_crop_that_keeps_enough_the_whole_image_is_taken():
    rng = np.random.default_rng(0)
    config = ImageAugmentConfig(most_ratio=1.6, keep_share=0.99, keep_pairs=10_000, tries=3)
    corners = np.array([[0, 0], [0, 319], [179, 0], [179, 319]], np.float32)
    crop = draw_crop(SIZE, corners, config, rng)
    assert replace(crop, mirrored=False) == Crop(0, 0, *SIZE, 224, 416)
    assert crop.holds(corners).all()
    assert draw_crop(SIZE, np.zeros((0, 2), np.float32), config, rng).width < SIZE[1]  # no pairs ask for nothing


@pytest.mark.parametrize("flip", [True, False])
def test_switches_do_not_change_which_part_is_drawn(flip):
    parts = [draw_crop(SIZE, pixels(6000), ImageAugmentConfig(flip=flip), np.random.default_rng(s)) for s in range(20)]
    assert any(p.mirrored for p in parts) == flip
    on = [draw_crop(SIZE, pixels(6000), ImageAugmentConfig(), np.random.default_rng(s)) for s in range(20)]
    assert [replace(p, mirrored=False) for p in parts] == [replace(p, mirrored=False) for p in on]


def test_a_pair_belongs_to_a_crop_as_its_nearest_pixel_does():
    crop = Crop(5, 7, 4, 6, 8, 12)
    rows = np.array([[4.4, 9], [4.6, 9], [8.4, 9], [8.6, 9]])
    columns = np.array([[6, 6.4], [6, 6.6], [6, 12.4], [6, 12.6]])
    assert crop.holds(rows).tolist() == [False, True, True, False]
    assert crop.holds(columns).tolist() == [False, True, True, False]


def test_shrinking_takes_the_mean_and_not_every_fourth_pixel():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::4] = 200
    drawn = Crop(0, 0, 64, 64, 16, 16).drawn(stripes)
    assert np.abs(drawn[:, 2:-2].astype(int) - 50).max() < 15
