"""Superpixels against a slow k-means, on images whose regions are known, and of pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clip2scene_training.rival_config import SuperpixelConfig
from clip2scene_training.superpixels import lab, superpixels, superpixels_of_pairs


def scene(height: int = 48, width: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A picture of a few flat regions with slanted borders and some grain, and which region each pixel is of."""
    rows, columns = np.mgrid[:height, :width]
    region = (columns + rows // 2 > 40).astype(int) + 2 * (rows - columns // 3 > 20)
    colours = np.array([[200, 40, 40], [40, 160, 60], [60, 60, 200], [210, 210, 190]])
    grain = np.random.default_rng(seed).integers(-8, 9, (height, width, 3))
    return (colours[region] + grain).clip(0, 255).astype(np.uint8), region


def test_lab_of_known_colours():
    image = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [119, 119, 119]]], np.uint8)
    known = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86]]
    np.testing.assert_allclose(lab(image)[0, :5], known, atol=0.03)
    assert lab(image)[0, 5] == pytest.approx([50.03, 0, 0], abs=0.02)


def slow(image: np.ndarray, config: SuperpixelConfig) -> np.ndarray:
    """The same k-means, a pixel and a centre after the other; without blur."""
    height, width = image.shape[:2]
    edge = max((height * width / config.count) ** 0.5, 1.0)
    down, across = round(height / edge), round(width / edge)
    colour, scale = lab(image), config.compactness / edge
    pixels = [(r, c) for r in range(height) for c in range(width)]
    value = {(r, c): np.array([*colour[r, c], r * scale, c * scale]) for r, c in pixels}
    home = {(r, c): (r * down // height, c * across // width) for r, c in pixels}
    chosen, centre = dict(home), {}
    for _ in range(config.rounds):
        members: dict[tuple[int, int], list[np.ndarray]] = {}
        for p in pixels:
            members.setdefault(chosen[p], []).append(value[p])
        centre.update({cell: np.mean(of_cell, axis=0) for cell, of_cell in members.items()})
        for p in pixels:
            near = [
                (i, j) for i in range(home[p][0] - 1, home[p][0] + 2) for j in range(home[p][1] - 1, home[p][1] + 2)
                if 0 <= i < down and 0 <= j < across
            ]  # fmt: skip
            chosen[p] = min(near, key=lambda cell, p=p: ((value[p] - centre[cell]) ** 2).sum())
    return np.array([[chosen[r, c][0] * across + chosen[r, c][1] for c in range(width)] for r in range(height)])


@pytest.mark.parametrize(("height", "width", "count"), [(30, 41, 12), (24, 17, 7)])
def test_superpixels_are_those_of_a_slow_k_means(height: int, width: int, count: int):
    image, _ = scene(height, width)
    config = SuperpixelConfig(count=count, blur=0.0, rounds=4)
    assert (superpixels(image, config) == slow(image, config)).mean() > 0.999


def test_superpixels_keep_to_the_borders_of_what_is_shown():
    image, region = scene(96, 128)
    found = superpixels(image, SuperpixelConfig(count=40))
    purest = sum(np.bincount(region[found == k]).max() for k in np.unique(found))
    edge = int(np.sqrt(96 * 128 / 40))
    rows, columns = np.mgrid[:96, :128]
    grid = rows // edge * 100 + columns // edge
    purest_grid = sum(np.bincount(region[grid == k]).max() for k in np.unique(grid))
    assert purest / region.size > 0.985 > 0.95 > purest_grid / region.size
    assert 25 < len(np.unique(found)) <= 48


def test_one_superpixel_or_more_than_pixels_and_images_of_one_colour():
    image, _ = scene(8, 10)
    assert (superpixels(image, SuperpixelConfig(count=1)) == 0).all()
    assert superpixels(image, SuperpixelConfig(count=10_000)).shape == (8, 10)
    plain = superpixels(np.full((30, 40, 3), 90, np.uint8), SuperpixelConfig(count=12))
    assert len(np.unique(plain)) == 12
    assert (np.bincount(plain.ravel()) == 100).all()


def test_pairs_have_the_superpixels_of_their_pixels_unique_over_a_batch():
    images = [scene(40, 50, seed)[0] for seed in (1, 2)]
    config = SuperpixelConfig(count=20)
    rng = np.random.default_rng(0)
    view = rng.integers(0, 2, 200)
    pixel = rng.uniform(-0.4, [39.4, 49.4], (200, 2)).astype(np.float32)
    found = superpixels_of_pairs(
        [torch.from_numpy(i) for i in images], torch.from_numpy(view), torch.from_numpy(pixel), config
    )
    regions = [superpixels(image, config) for image in images]
    expected = [(v, regions[v][round(float(r)), round(float(c))]) for v, (r, c) in zip(view, pixel, strict=True)]
    assert len({*found.tolist()}) == len({*expected}) > 20
    assert len({*zip(found.tolist(), expected, strict=True)}) == len({*expected})
    with pytest.raises(ValueError, match="Expected 2 images or more"):
        superpixels_of_pairs([], torch.from_numpy(view), torch.from_numpy(pixel), config)
