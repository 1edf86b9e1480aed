"""SPVCNN's point branch, against loops over dictionaries and the order of steps in CLIP2Scene."""

from __future__ import annotations

import itertools

import pytest
import torch
from sparse_oracle import cloud

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.student.networks import UNet, build_network
from clip2scene_ros.student.sparse import SparseTensor
from clip2scene_ros.student.sparse.kernel_map import make_grid
from clip2scene_ros.student.sparse.trilinear import Corners, devoxelize, find_corners, voxelize_mean

TOLERANCE = 1e-5


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def coarse_of(points: torch.Tensor, stride: int) -> torch.Tensor:
    """The occupied cells of a level, shuffled; some are missing and some hold no point."""
    cells = points.clone()
    cells[:, 1:] = torch.div(cells[:, 1:], stride, rounding_mode="floor")
    cells = torch.unique(torch.cat([cells, cells[:5] + torch.tensor([0, 9, 9, 9], dtype=torch.int32)]), dim=0)
    return cells[torch.randperm(len(cells), generator=torch.Generator().manual_seed(1))]


def slow_devoxelize(points: torch.Tensor, cells: torch.Tensor, feats: torch.Tensor, stride: int) -> torch.Tensor:
    row_of = {tuple(c): row for row, c in enumerate(cells.tolist())}
    result = []
    for b, *xyz in points.tolist():
        total, weight_sum = torch.zeros(feats.shape[1]), 0.0
        for corner in itertools.product((0, 1), repeat=3):
            cell = [p // stride + c for p, c in zip(xyz, corner, strict=True)]
            weight = 1.0
            for p, c in zip(xyz, cell, strict=True):
                weight *= 1.0 - abs(p / stride - c)
            row = row_of.get((b, *cell))
            if row is not None:
                total, weight_sum = total + weight * feats[row], weight_sum + weight
        result.append(total / weight_sum if weight_sum else total)
    return torch.stack(result)


def slow_voxelize(points: torch.Tensor, cells: torch.Tensor, feats: torch.Tensor, stride: int) -> torch.Tensor:
    members: dict[tuple[int, ...], list[int]] = {}
    for row, (b, *xyz) in enumerate(points.tolist()):
        members.setdefault((b, *(p // stride for p in xyz)), []).append(row)
    return torch.stack(
        [
            feats[members[tuple(c)]].mean(0) if tuple(c) in members else torch.zeros(feats.shape[1])
            for c in cells.tolist()
        ]
    )


@pytest.mark.parametrize("stride", [1, 2, 4, 16])
def test_devoxelize_equals_the_loop(stride: int) -> None:
    points = cloud(seed=stride, batch=3, reach=20)
    cells = coarse_of(points, stride)
    feats = random(len(cells), 5)
    corners = find_corners(points, make_grid(cells), stride)
    torch.testing.assert_close(
        devoxelize(feats, corners), slow_devoxelize(points, cells, feats, stride), rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize("stride", [2, 4, 16])
def test_voxelize_is_the_mean_of_a_cell_s_points(stride: int) -> None:
    points = cloud(seed=30 + stride, batch=3, reach=20)
    cells = coarse_of(points, stride)
    feats = random(len(points), 5)
    rows = find_corners(points, make_grid(cells), stride).rows[:, 0]
    torch.testing.assert_close(
        voxelize_mean(feats, rows, len(cells)), slow_voxelize(points, cells, feats, stride), rtol=0, atol=TOLERANCE
    )


def test_at_stride_one_devoxelize_is_the_identity_bit_by_bit() -> None:
    points = cloud(seed=40)
    feats = random(len(points), 3)
    assert torch.equal(devoxelize(feats, find_corners(points, make_grid(points), 1)), feats)


def test_points_outside_of_the_grid_find_nothing_that_is_not_there() -> None:
    cells = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 7], [1, 3, 3, 3]], dtype=torch.int32)
    points = torch.tensor([[0, 0, 0, 4000], [0, -4000, 0, 0], [1, 0, 0, 0], [2, 3, 3, 3], [0, 0, 0, -2]])
    corners = find_corners(points.to(torch.int32), make_grid(cells), 4)
    assert corners.rows[:4].tolist() == [[-1] * 8] * 4
    assert corners.rows[4].tolist() == [-1, 0] + [-1] * 6
    assert devoxelize(random(3, 2), corners)[:4].abs().sum() == 0


def test_gradients_of_both_directions_are_exact() -> None:
    points = cloud(seed=41, voxels=25, reach=4)
    cells = coarse_of(points, 4)
    corners = find_corners(points, make_grid(cells), 4)
    exact = Corners(corners.rows, corners.weights.double())
    voxels = random(len(cells), 2).double().requires_grad_()
    feats = random(len(points), 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: devoxelize(f, exact), voxels)
    assert torch.autograd.gradcheck(lambda f: voxelize_mean(f, corners.rows[:, 0], len(cells)), feats)


def small() -> UNet:
    torch.manual_seed(0)
    return build_network(NetworkConfig("spvcnn", preset="paper", width=0.25, in_channels=2, embedding_dim=7))


@torch.no_grad()
def test_steps_are_those_of_the_paper_s_code() -> None:
    """Every exchange written out, the ones that change nothing included, with slow voxels and points."""
    network, points = small(), cloud(seed=42, reach=12)
    x = SparseTensor(random(len(points), 2), points)
    network(x)  # statistics of the norms other than 0 and 1
    network.eval()
    parts = dict(network.named_children())
    mlp = parts["point_transforms"]

    def up(stage: int, y: SparseTensor, skip: SparseTensor) -> SparseTensor:
        y = parts[f"up{stage}"][0](y)
        return parts[f"up{stage}"][1](y.with_feats(torch.cat([y.feats, skip.feats], 1)))

    def to_points(y: SparseTensor) -> torch.Tensor:
        return slow_devoxelize(points, y.coords, y.feats, y.stride)

    def to_voxels(y: SparseTensor, z: torch.Tensor) -> SparseTensor:
        return y.with_feats(slow_voxelize(points, y.coords, z, y.stride))

    x0 = parts["stem"](x)
    z0 = to_points(x0)
    x1 = parts["stage1"](to_voxels(x0, z0))
    x2 = parts["stage2"](x1)
    x3 = parts["stage3"](x2)
    x4 = parts["stage4"](x3)
    z1 = to_points(x4) + mlp[0](z0)
    y2 = up(2, up(1, to_voxels(x4, z1), x3), x2)
    z2 = to_points(y2) + mlp[1](z1)
    y4 = up(4, up(3, to_voxels(y2, z2), x1), x0)
    z3 = to_points(y4) + mlp[2](z2)
    expected = torch.cat([z1, z2, z3], 1)
    torch.testing.assert_close(network.features(x), expected, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(network(x), parts["head"](expected), rtol=0, atol=TOLERANCE)


def test_parameters_follow_from_its_channels() -> None:
    """Counted by hand from the layer list; each convolution and linear layer with its norm's 2 x channels."""

    def conv(volume: int, fan_in: int, fan_out: int) -> int:
        return volume * fan_in * fan_out + 2 * fan_out

    def blocks(fan_in: int, fan_out: int) -> int:
        skip = 0 if fan_in == fan_out else conv(1, fan_in, fan_out)
        return conv(27, fan_in, fan_out) + 3 * conv(27, fan_out, fan_out) + skip

    count = conv(27, 1, 32) + conv(27, 32, 32)
    for fan_in, planes in ((32, 32), (32, 64), (64, 128), (128, 256)):
        count += conv(8, fan_in, fan_in) + blocks(fan_in, planes)
    for fan_in, planes, skip in ((256, 256, 128), (256, 128, 64), (128, 96, 32), (96, 96, 32)):
        count += conv(8, fan_in, planes) + blocks(planes + skip, planes)
    for fan_in, planes in ((32, 256), (256, 128), (128, 96)):
        count += conv(1, fan_in, planes) + planes
    with torch.device("meta"):
        network = build_network(NetworkConfig("spvcnn", preset="paper"))
    assert sum(p.numel() for p in network.parameters()) - network.head.weight.numel() - 32 == count
    assert network.feature_dim == 480
