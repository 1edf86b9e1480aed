"""Kernel maps against dictionaries, and how they are shared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sparse_oracle import cloud, kernel_pairs, pooled_cells, strided_cells

from clip2scene_ros.student.sparse.kernel_map import KernelMap, Maps, kernel_offsets
from clip2scene_ros.student.sparse.keys import distinct, fit_packing, sort_stably
from clip2scene_ros.student.sparse.tensor import SparseTensor


def maps_of(coords: torch.Tensor) -> Maps:
    maps = Maps()
    maps.register((), coords)
    return maps


def listed(kernel_map: KernelMap) -> list[set[tuple[int, int]]]:
    """The (in, out) pairs of each weight, the implied identity written out."""
    pairs = [
        set(zip(i.tolist(), o.tolist(), strict=True))
        for i, o in zip(kernel_map.in_rows, kernel_map.out_rows, strict=True)
    ]
    assert [len(p) for p in pairs] == [len(rows) for rows in kernel_map.in_rows]
    if kernel_map.identity is not None:
        assert not pairs[kernel_map.identity]
        pairs[kernel_map.identity] = {(row, row) for row in range(kernel_map.n_in)}
    return pairs


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
@pytest.mark.parametrize("ordered", [True, False], ids=["sorted", "shuffled"])
def test_submanifold_map_equals_a_dictionary(kernel_size: int, ordered: bool) -> None:
    coords = cloud(seed=1, ordered=ordered)
    found = listed(maps_of(coords).submanifold((), kernel_size))
    assert found == kernel_pairs(coords, coords, kernel_size, 1)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("ordered", [True, False], ids=["sorted", "shuffled"])
def test_pooled_map_equals_a_dictionary(size: int, ordered: bool) -> None:
    coords = cloud(seed=2, ordered=ordered)
    path, coarse, kernel_map = maps_of(coords).strided((), size, size)
    assert path == ((size, size),)
    assert {tuple(c) for c in coarse.tolist()} == pooled_cells(coords, size)
    assert len(coarse) == len(pooled_cells(coords, size))
    assert listed(kernel_map) == kernel_pairs(coords, coarse, size, size)


@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 2), (1, 2), (2, 3), (3, 4)])
@pytest.mark.parametrize("ordered", [True, False], ids=["sorted", "shuffled"])
def test_strided_map_equals_a_dictionary(kernel_size: int, stride: int, ordered: bool) -> None:
    coords = cloud(seed=3, ordered=ordered)
    _, coarse, kernel_map = maps_of(coords).strided((), kernel_size, stride)
    assert {tuple(c) for c in coarse.tolist()} == strided_cells(coords, kernel_size, stride)
    assert listed(kernel_map) == kernel_pairs(coords, coarse, kernel_size, stride)


def test_maps_below_a_coarser_grid_equal_dictionaries() -> None:
    maps = maps_of(cloud(seed=4))
    path, coarse, _ = maps.strided((), 2, 2)
    path, coarser, kernel_map = maps.strided(path, 2, 2)
    assert listed(kernel_map) == kernel_pairs(coarse, coarser, 2, 2)
    assert listed(maps.submanifold(path, 3)) == kernel_pairs(coarser, coarser, 3, 1)


def test_no_row_repeats_within_a_weight() -> None:
    kernel_map = maps_of(cloud(seed=5)).submanifold((), 3)
    for rows in (*kernel_map.in_rows, *kernel_map.out_rows):
        assert len(rows.unique()) == len(rows)


def test_maps_are_made_once_and_follow_the_tensor() -> None:
    coords = cloud(seed=6)
    x = SparseTensor(torch.zeros(len(coords), 2), coords)
    y = x.with_feats(torch.ones(len(coords), 5))
    assert x.maps.submanifold((), 3) is y.maps.submanifold((), 3)
    assert x.maps.strided((), 2, 2)[2] is y.maps.strided((), 2, 2)[2]


def test_two_ways_of_halving_do_not_mix() -> None:
    maps = maps_of(cloud(seed=7))
    pooled, strided = maps.strided((), 2, 2), maps.strided((), 3, 2)
    assert pooled[0] != strided[0]
    assert listed(maps.submanifold(pooled[0], 3)) == kernel_pairs(pooled[1], pooled[1], 3, 1)
    assert listed(maps.submanifold(strided[0], 3)) == kernel_pairs(strided[1], strided[1], 3, 1)
    with pytest.raises(ValueError, match="undoes one like itself"):
        maps.transposed(strided[0], 2, 2)


def test_transposed_map_swaps_the_one_it_undoes() -> None:
    maps = maps_of(cloud(seed=8))
    path, _, down = maps.strided((), 2, 2)
    finer, coords, up = maps.transposed(path, 2, 2)
    assert finer == ()
    assert coords is maps.grid(()).coords
    assert listed(up) == [{(o, i) for i, o in pairs} for pairs in listed(down)]


def test_transposed_at_the_original_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="undoes one like itself"):
        maps_of(cloud(seed=8)).transposed((), 2, 2)


def test_same_voxel_twice_is_refused() -> None:
    coords = torch.tensor([[0, 1, 2, 3], [0, 0, 0, 0], [0, 1, 2, 3]], dtype=torch.int32)
    with pytest.raises(ValueError, match="there twice"):
        maps_of(coords).submanifold((), 3)


def test_maps_of_other_voxels_are_refused() -> None:
    x = SparseTensor(torch.zeros(1, 1), torch.zeros(1, 4, dtype=torch.int32))
    with pytest.raises(ValueError, match="fresh"):
        SparseTensor(torch.zeros(1, 1), torch.ones(1, 4, dtype=torch.int32), x.maps)


@pytest.mark.parametrize(
    "coords", [torch.zeros(2, 3, dtype=torch.int32), torch.zeros(2, 4), torch.zeros(1, 4, dtype=torch.int32)]
)
def test_tensor_with_other_shapes_is_refused(coords: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="Expected"):
        SparseTensor(torch.zeros(2, 1), coords)


def test_kernel_size_that_is_not_supported_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel size of 1, 2 or 3"):
        kernel_offsets(4)


def test_far_apart_voxels_are_no_neighbours_and_overflow_is_refused() -> None:
    edge = 20_000_000  # 1000 km at 0.05 m
    coords = torch.tensor([[0, -edge, 0, 0], [0, edge, 0, 0], [1, edge, 1, 0]], dtype=torch.int32)
    assert sum(len(rows) for rows in maps_of(coords).submanifold((), 3).in_rows) == 0
    coords = torch.tensor([[0, -edge, -edge, -edge], [0, edge, edge, edge]], dtype=torch.int32)
    with pytest.raises(ValueError, match="more than the"):
        maps_of(coords).submanifold((), 3)


def test_packing_round_trips_and_keeps_the_order() -> None:
    coords = cloud(seed=9)
    packing = fit_packing(coords, margin=2)
    keys = packing.pack(coords)
    assert torch.equal(packing.unpack(keys), coords)
    rows = sorted(map(tuple, coords.tolist()))
    assert [tuple(r) for r in coords[keys.argsort()].tolist()] == rows


@pytest.mark.parametrize("limit", [60, 2**61], ids=["packed with rows", "too large to pack"])
def test_distinct_keys_equal_numpy_s(limit: int) -> None:
    keys = torch.randint(0, 60, (200,), generator=torch.Generator().manual_seed(0))
    found, inverse, first = distinct(keys, limit)
    expected, at, back = np.unique(keys.numpy(), return_index=True, return_inverse=True)
    for mine, theirs in ((found, expected), (first, at), (inverse, back)):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(sort_stably(keys, limit)[1], np.argsort(keys.numpy(), kind="stable"))


@pytest.mark.parametrize("rows", [0, 1])
def test_smallest_tensors_have_maps(rows: int) -> None:
    maps = maps_of(torch.zeros(rows, 4, dtype=torch.int32))
    assert sum(len(r) for r in maps.submanifold((), 3).in_rows) == 0
    for kernel_size, stride in ((2, 2), (3, 2)):
        assert len(maps.strided((), kernel_size, stride)[1]) == rows
