"""Parity with TorchSparse 1.4.0's calc_ti_weights, spdevoxelize and sparse_quantize, by the arrays they wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clip2scene_ros.student.sparse.kernel_map import make_grid
from clip2scene_ros.student.sparse.trilinear import CORNERS, Corners, devoxelize, find_corners
from clip2scene_ros.student.voxelization import voxelize

STRIDE = 4
KINDS = ("int", "real")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(Path(__file__).parent / "trilinear_quantize.npz"))


def found(golden: dict[str, np.ndarray], kind: str) -> Corners:
    points = torch.from_numpy(golden[f"{kind}_points"])
    cells = torch.from_numpy(golden[f"{kind}_voxels"] // STRIDE)
    points, cells = (torch.nn.functional.pad(rows, (1, 0)) for rows in (points, cells))
    return find_corners(points, make_grid(cells), STRIDE)


def test_corners_are_in_torchsparse_s_order(golden: dict[str, np.ndarray]) -> None:
    assert (np.array(CORNERS) * STRIDE == golden["neighbour_offsets"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_voxels_around_a_point_are_torchsparse_s(golden: dict[str, np.ndarray], kind: str) -> None:
    assert (golden[f"{kind}_idx"] == -1).any()
    np.testing.assert_array_equal(found(golden, kind).rows.numpy(), golden[f"{kind}_idx"])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_equal_torchsparse(golden: dict[str, np.ndarray], kind: str) -> None:
    np.testing.assert_allclose(found(golden, kind).weights.numpy(), golden[f"{kind}_w"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_devoxelized_features_equal_torchsparse(golden: dict[str, np.ndarray], kind: str) -> None:
    feats = devoxelize(torch.from_numpy(golden[f"{kind}_vfeat"]), found(golden, kind))
    np.testing.assert_allclose(feats.numpy(), golden[f"{kind}_pfeat"], rtol=0, atol=1e-5)


def test_quantisation_equals_torchsparse_but_for_its_shift_to_zero(golden: dict[str, np.ndarray]) -> None:
    """TorchSparse 1.4 subtracts the lowest coordinate of each axis; order, first points and inverse are equal."""
    voxels = voxelize(golden["q_points"], 1.0)
    coords = voxels.coords.numpy()
    np.testing.assert_array_equal(coords - coords.min(0), golden["q_coords"])
    np.testing.assert_array_equal(voxels.first.numpy(), golden["q_index"])
    np.testing.assert_array_equal(voxels.inverse.numpy(), golden["q_inverse"])
