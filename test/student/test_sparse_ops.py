"""Sparse convolution against loops, plain dense convolution, finite differences and its symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sparse_oracle import cloud, convolution, kernel_pairs
from torch.nn import functional

from clip2scene_ros.student.sparse import (
    BatchNorm,
    ReLU,
    SparseConv3d,
    SparseTensor,
    collate,
    convolve,
    fuse,
    use_engine,
)
from clip2scene_ros.student.sparse.kernel_map import KernelMap, Maps

CASES = [(1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (3, 3), (1, 2)]


def random_tensor(seed: int, channels: int = 5, dtype: torch.dtype = torch.float32, **settings: int) -> SparseTensor:
    coords = cloud(seed, **settings)
    generator = torch.Generator().manual_seed(seed)
    return SparseTensor(torch.randn(len(coords), channels, generator=generator, dtype=dtype), coords)


def random_layer(seed: int, fan_in: int, fan_out: int, **settings: int) -> SparseConv3d:
    torch.manual_seed(seed)
    return SparseConv3d(fan_in, fan_out, **settings)


def sorted_rows(x: SparseTensor) -> tuple[torch.Tensor, torch.Tensor]:
    order = np.lexsort(x.coords.numpy().T[::-1]).copy()
    return x.coords[order], x.feats.detach()[order]


@pytest.mark.parametrize(("kernel_size", "stride"), CASES)
@torch.no_grad()
def test_convolution_equals_loops(kernel_size: int, stride: int) -> None:
    x = random_tensor(seed=1)
    layer = random_layer(2, 5, 7, kernel_size=kernel_size, stride=stride)
    y = layer(x)
    pairs = kernel_pairs(x.coords, y.coords, kernel_size, stride)
    expected = convolution(x.feats.numpy(), layer.kernel.numpy(), pairs, len(y.coords))
    np.testing.assert_allclose(y.feats.numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kernel_size", "stride"), [(2, 2), (3, 2)])
@torch.no_grad()
def test_transposed_convolution_equals_loops(kernel_size: int, stride: int) -> None:
    x = random_tensor(seed=3)
    coarse = random_layer(4, 5, 6, kernel_size=kernel_size, stride=stride)(x)
    layer = SparseConv3d(6, 4, kernel_size=kernel_size, stride=stride, transposed=True)
    y = layer(coarse)
    pairs = [{(o, i) for i, o in p} for p in kernel_pairs(x.coords, coarse.coords, kernel_size, stride)]
    expected = convolution(coarse.feats.numpy(), layer.kernel.numpy(), pairs, len(x.coords))
    assert y.coords is x.coords
    assert y.path == ()
    np.testing.assert_allclose(y.feats.numpy(), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_on_a_full_grid_it_is_the_dense_convolution() -> None:
    edge, layer = 6, random_layer(5, 3, 4)
    cells = torch.cartesian_prod(torch.arange(1), *[torch.arange(edge)] * 3).to(torch.int32)
    x = SparseTensor(torch.randn(edge**3, 3, generator=torch.Generator().manual_seed(0)), cells)
    volume = x.feats.T.reshape(1, 3, edge, edge, edge)  # axes x, y, z
    weight = layer.kernel.reshape(3, 3, 3, 3, 4).permute(4, 3, 2, 1, 0)  # z, y, x, in, out -> out, in, x, y, z
    dense = functional.conv3d(volume, weight, padding=1)
    torch.testing.assert_close(layer(x).feats, dense.reshape(4, -1).T, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kernel_size", "stride", "transposed"), [(k, s, False) for k, s in CASES] + [(2, 2, True)])
def test_gradients_equal_finite_differences(kernel_size: int, stride: int, transposed: bool) -> None:
    x = random_tensor(seed=6, channels=2, dtype=torch.float64, voxels=25, reach=2)
    maps = x.maps
    if transposed:
        path, coords, _ = maps.strided((), kernel_size, stride)
        kernel_map, rows = maps.transposed(path, kernel_size, stride)[2], len(coords)
    elif stride > 1:
        kernel_map, rows = maps.strided((), kernel_size, stride)[2], len(x.coords)
    else:
        kernel_map, rows = maps.submanifold((), kernel_size), len(x.coords)
    generator = torch.Generator().manual_seed(7)
    feats = torch.randn(rows, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    kernel = torch.randn(kernel_size**3, 2, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, k, b: convolve(f, k, kernel_map, b), (feats, kernel, bias))


def test_only_the_gradients_asked_for_are_made() -> None:
    x = random_tensor(seed=8)
    kernel_map = x.maps.submanifold((), 3)
    kernel = torch.randn(27, 5, 2, requires_grad=True)
    convolve(x.feats, kernel, kernel_map).sum().backward()
    assert kernel.grad is not None
    assert x.feats.grad is None
    feats = x.feats.clone().requires_grad_()
    convolve(feats, kernel.detach(), kernel_map).sum().backward()
    assert feats.grad is not None


@pytest.mark.parametrize(("kernel_size", "stride"), CASES)
@torch.no_grad()
def test_a_batch_equals_its_items_one_by_one(kernel_size: int, stride: int) -> None:
    layer = random_layer(9, 5, 7, kernel_size=kernel_size, stride=stride)
    items = [random_tensor(seed, batch=1, voxels=60 + 40 * seed) for seed in range(3)]
    batch = layer(collate([item.coords[:, 1:] for item in items], [item.feats for item in items]))
    for number, item in enumerate(items):
        rows = batch.coords[:, 0] == number
        coords, feats = sorted_rows(SparseTensor(batch.feats[rows], batch.coords[rows]))
        alone, expected = sorted_rows(layer(item))
        assert torch.equal(coords[:, 1:], alone[:, 1:])
        torch.testing.assert_close(feats, expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_permuting_the_rows_permutes_the_result() -> None:
    x, layer = random_tensor(seed=10), random_layer(11, 5, 7)
    order = torch.randperm(len(x.coords), generator=torch.Generator().manual_seed(0))
    permuted = layer(SparseTensor(x.feats[order], x.coords[order]))
    torch.testing.assert_close(permuted.feats, layer(x).feats[order], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("kernel_size", "stride"), CASES)
@torch.no_grad()
def test_moving_the_voxels_moves_the_result(kernel_size: int, stride: int) -> None:
    x, layer = random_tensor(seed=12), random_layer(13, 5, 7, kernel_size=kernel_size, stride=stride)
    shift = torch.tensor([0, 6, -12, 600], dtype=torch.int32)
    moved = layer(SparseTensor(x.feats, x.coords + shift))
    (coords, feats), (moved_coords, moved_feats) = sorted_rows(layer(x)), sorted_rows(moved)
    shift[1:] //= stride
    assert torch.equal(coords + shift, moved_coords)
    torch.testing.assert_close(feats, moved_feats, rtol=0, atol=1e-6)


@torch.no_grad()
def test_empty_tensor_goes_through() -> None:
    x = SparseTensor(torch.zeros(0, 5), torch.zeros(0, 4, dtype=torch.int32))
    down = random_layer(0, 5, 6, kernel_size=2, stride=2)(random_layer(0, 5, 5)(x))
    up = random_layer(0, 6, 3, kernel_size=2, stride=2, transposed=True)(down)
    assert (down.feats.shape, up.feats.shape) == ((0, 6), (0, 3))


def test_half_precision_is_accumulated_in_float32() -> None:
    x, kernel = random_tensor(seed=14, channels=16), torch.randn(27, 16, 8, generator=torch.Generator().manual_seed(1))
    kernel_map = x.maps.submanifold((), 3)
    exact = convolve(x.feats, kernel, kernel_map)
    for dtype, tolerance in ((torch.float16, 2e-3), (torch.bfloat16, 2e-2)):
        found = convolve(x.feats.to(dtype), kernel.to(dtype), kernel_map)
        assert found.dtype == dtype
        assert ((found.float() - exact).abs().max() / exact.abs().max()).item() < tolerance


@pytest.mark.parametrize("shape", [(27, 4, 7), (8, 5, 7), (27, 5)])
def test_kernel_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    x = random_tensor(seed=15)
    with pytest.raises(ValueError, match="Expected `kernel` of shape"):
        convolve(x.feats, torch.zeros(shape), x.maps.submanifold((), 3))
    with pytest.raises(ValueError, match="rows of features"):
        convolve(x.feats[1:], torch.zeros(27, 5, 7), x.maps.submanifold((), 3))


def test_initial_weights_are_uniform_in_the_bound_of_their_fan() -> None:
    for transposed, fan in ((False, 16), (True, 64)):
        torch.manual_seed(0)
        kernel = SparseConv3d(16, 64, kernel_size=2, stride=2, transposed=transposed).kernel
        bound = (fan * 8) ** -0.5
        assert 0.99 * bound < kernel.abs().max().item() <= bound
        assert kernel.std().item() == pytest.approx(bound / 3**0.5, rel=0.03)


def small_network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    down = torch.nn.Sequential(SparseConv3d(6, 8, 2, 2), BatchNorm(8), ReLU())
    return torch.nn.Sequential(SparseConv3d(5, 6), BatchNorm(6), ReLU(), down, SparseConv3d(8, 3, 2, 2, True))


def test_folding_norms_changes_nothing_but_the_layers() -> None:
    network = small_network()
    for seed in range(5):
        network(random_tensor(seed))  # norms that have seen something
    network.eval()
    with torch.no_grad():
        network[1].weight.uniform_(0.5, 2)
        network[1].bias.uniform_(-1, 1)
    fused, x = fuse(network), random_tensor(seed=20)
    assert not any(isinstance(module, BatchNorm) for module in fused.modules())
    assert any(isinstance(module, BatchNorm) for module in network.modules())
    torch.testing.assert_close(fused(x).feats, network(x).feats.detach(), rtol=0, atol=1e-5)


def test_another_engine_takes_the_place_of_every_convolution() -> None:
    network, x, calls = small_network().eval(), random_tensor(seed=21), []

    def engine(
        feats: torch.Tensor, kernel: torch.Tensor, kernel_map: KernelMap, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        calls.append(tuple(kernel.shape))
        return convolve(feats, kernel, kernel_map, bias)

    expected = network(x).feats
    use_engine(network, engine)
    assert torch.equal(network(x).feats, expected)
    assert calls == [(27, 5, 6), (8, 6, 8), (8, 8, 3)]


def test_training_keeps_no_gathered_rows() -> None:
    """The backward pass keeps feats and kernel only; gathered rows would be many times as large."""
    x, kept = random_tensor(seed=22), []
    kernel = torch.randn(27, 5, 7, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        convolve(x.feats, kernel, x.maps.submanifold((), 3)).sum()
    assert sum(kept) <= x.feats.numel() + kernel.numel()


def test_moving_to_a_device_starts_with_fresh_maps() -> None:
    x = random_tensor(seed=23)
    assert x.to("cpu").maps is not x.maps
    coarse = random_layer(0, 5, 5, kernel_size=2, stride=2)(x)
    assert coarse.stride == 2
    with pytest.raises(ValueError, match="original grid"):
        coarse.to("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@torch.no_grad()
def test_cuda_equals_cpu() -> None:
    network, x = small_network().eval(), random_tensor(seed=24)
    found = network.to("cuda")(x.to("cuda")).feats.cpu()
    torch.testing.assert_close(found, network.to("cpu")(x).feats, rtol=0, atol=1e-5)


def test_maps_are_not_shared_by_accident() -> None:
    assert random_tensor(seed=25).maps is not random_tensor(seed=25).maps
    assert isinstance(random_tensor(seed=25).maps, Maps)
