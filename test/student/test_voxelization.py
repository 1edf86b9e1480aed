"""Voxelization against a dictionary, and at its borders."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_ros.student.voxelization import voxelize


def by_dictionary(points: np.ndarray, size: float) -> dict[tuple[int, ...], list[int]]:
    """Cell -> indices of its points, the slow way."""
    cells: dict[tuple[int, ...], list[int]] = {}
    for i, point in enumerate(points.astype(np.float64)):
        cells.setdefault(tuple(math.floor(value / size) for value in point), []).append(i)
    return cells


def assert_equal_to_dictionary(points: np.ndarray, size: float) -> None:
    voxels, cells = voxelize(points, size), by_dictionary(points, size)
    assert [tuple(c) for c in voxels.coords.tolist()] == sorted(cells)
    for voxel, cell in enumerate(sorted(cells)):
        assert int(voxels.first[voxel]) == cells[cell][0]
        assert torch.nonzero(voxels.inverse == voxel).flatten().tolist() == cells[cell]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(-3e4, 3e4, width=32)] * 3), max_size=30),
    st.sampled_from([0.05, 0.1, 0.2, 1.0]),
)
def test_equals_a_dictionary_of_cells(points: list[tuple[float, ...]], size: float) -> None:
    assert_equal_to_dictionary(np.array(points, dtype=np.float32).reshape(-1, 3), size)


def test_crowded_cells_keep_their_first_point() -> None:
    points = np.random.default_rng(0).normal(scale=0.5, size=(800, 3)).astype(np.float32)
    assert_equal_to_dictionary(points, 0.2)


def test_real_scan_equals_dictionary(shared_data: Callable[[str], Path]) -> None:
    scan = np.fromfile(shared_data("data/semantickitti/000000.bin"), dtype=np.float32).reshape(-1, 4)[::20, :3]
    assert_equal_to_dictionary(scan, 0.1)


def test_negative_coordinates_are_rounded_down() -> None:
    voxels = voxelize(np.array([[-0.01, 0.01, -0.21]], dtype=np.float32), 0.1)
    assert voxels.coords.tolist() == [[-1, 0, -3]]


def test_permuting_points_changes_no_voxel() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(scale=3, size=(500, 3)).astype(np.float32)
    order = rng.permutation(500)
    plain, permuted = voxelize(points, 0.5), voxelize(points[order], 0.5)
    assert torch.equal(plain.coords, permuted.coords)
    assert torch.equal(plain.inverse[torch.from_numpy(order)], permuted.inverse)


def test_moving_by_whole_cells_moves_the_voxels() -> None:
    points = np.random.default_rng(2).integers(-64, 64, (300, 3)).astype(np.float32) / 8  # exact in float32
    plain, moved = voxelize(points, 0.25), voxelize(points + np.float32(2.5), 0.25)
    assert torch.equal(plain.coords + 10, moved.coords)
    assert torch.equal(plain.first, moved.first)


def test_no_points_give_no_voxels() -> None:
    voxels = voxelize(np.zeros((0, 3), dtype=np.float32), 0.1)
    assert (len(voxels), voxels.inverse.shape, voxels.coords.shape) == (0, (0,), (0, 3))


def test_a_thousand_kilometres_at_five_centimetres_do_not_overflow() -> None:
    assert_equal_to_dictionary(np.array([[1e6, -1e6, 0], [-1e6, 1e6, 1], [0, 0, 5]], dtype=np.float32), 0.05)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38, 2.0**31 * 0.05])
def test_what_int32_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite points within"):
        voxelize(np.array([[0, 0, 0], [1, value, 2]], dtype=np.float32), 0.05)


def test_an_extent_that_keys_cannot_number_is_refused() -> None:
    corners = np.array([[-5e7, -5e7, -5e7], [5e7, 5e7, 5e7]], dtype=np.float32)
    with pytest.raises(ValueError, match="more than the"):
        voxelize(corners, 0.05)


@pytest.mark.parametrize("size", [0.0, -0.1, float("nan"), float("inf")])
def test_impossible_voxel_size_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match="voxel_size_m"):
        voxelize(np.zeros((1, 3), dtype=np.float32), size)


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(N, 3\)"):
        voxelize(np.zeros((3, 4), dtype=np.float32), 0.1)
