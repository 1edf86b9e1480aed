"""Parity with TorchSparse 1.4.0 and 2.1.0 on CPU, by the arrays that they wrote (numbers only, see docs/sparse.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clip2scene_ros.student.sparse import SparseConv3d, SparseTensor, convolve
from clip2scene_ros.student.sparse.kernel_map import Maps

GOLDEN = Path(__file__).parent / "torchsparse"
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def ts140() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "ts140_cpu.npz"))


@pytest.fixture(scope="module")
def ts210() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "ts210_cpu_grads.npz"))


def to_ours(coords: np.ndarray, stride: int = 1) -> torch.Tensor:
    """TorchSparse 1.4 rows x, y, z, batch in original units -> batch, x, y, z in the grid's own units."""
    return torch.from_numpy(np.concatenate([coords[:, 3:], coords[:, :3] // stride], 1).astype(np.int32))


def layer(weights: np.ndarray, **settings: object) -> SparseConv3d:
    conv = SparseConv3d(*weights.shape[1:], **settings)  # type: ignore[arg-type]
    conv.kernel.data = torch.from_numpy(weights)
    return conv


def assert_same_rows(x: SparseTensor, coords: np.ndarray, feats: np.ndarray, stride: int) -> None:
    """The same voxels with the same features, in whatever order."""
    expected = {tuple(c): f for c, f in zip(to_ours(coords, stride).tolist(), feats, strict=True)}
    assert len(expected) == len(x.coords)
    wanted = np.stack([expected[tuple(c)] for c in x.coords.tolist()])
    np.testing.assert_allclose(x.feats.detach().numpy(), wanted, rtol=0, atol=TOLERANCE)


@pytest.fixture
def stem(ts140: dict[str, np.ndarray]) -> SparseTensor:
    x = SparseTensor(torch.from_numpy(ts140["feats"]), to_ours(ts140["coords"]))
    return layer(ts140["w_sub"])(x)


def test_submanifold_equals_torchsparse_row_by_row(ts140: dict[str, np.ndarray], stem: SparseTensor) -> None:
    np.testing.assert_allclose(stem.feats.detach().numpy(), ts140["y_sub"], rtol=0, atol=TOLERANCE)


def test_strided_k2_equals_torchsparse(ts140: dict[str, np.ndarray], stem: SparseTensor) -> None:
    down = layer(ts140["w_down"], kernel_size=2, stride=2)(stem)
    assert down.stride == 2
    assert_same_rows(down, ts140["c_down"], ts140["y_down"], stride=2)


def test_transposed_k2_equals_torchsparse_row_by_row(ts140: dict[str, np.ndarray], stem: SparseTensor) -> None:
    down = layer(ts140["w_down"], kernel_size=2, stride=2)(stem)
    up = layer(ts140["w_up"], kernel_size=2, stride=2, transposed=True)(down)
    assert torch.equal(up.coords, to_ours(ts140["c_up"]))
    np.testing.assert_allclose(up.feats.detach().numpy(), ts140["y_up"], rtol=0, atol=TOLERANCE)


def test_strided_k3_equals_torchsparse(ts140: dict[str, np.ndarray]) -> None:
    x = SparseTensor(torch.from_numpy(ts140["feats"]), to_ours(ts140["coords"]))
    assert_same_rows(layer(ts140["w_k3s2"], kernel_size=3, stride=2)(x), ts140["c_k3s2"], ts140["y_k3s2"], stride=2)


def test_gradients_equal_torchsparse(ts140: dict[str, np.ndarray], ts210: dict[str, np.ndarray]) -> None:
    feats = torch.from_numpy(ts140["feats"]).requires_grad_()
    kernel = torch.from_numpy(ts140["w_sub"]).requires_grad_()
    maps = Maps()
    maps.register((), to_ours(ts140["coords"]))
    convolve(feats, kernel, maps.submanifold((), 3)).backward(torch.from_numpy(ts210["grad_out"]))
    assert feats.grad is not None
    assert kernel.grad is not None
    for name in ("gx_ts", "gx"):
        np.testing.assert_allclose(feats.grad, ts210[name], rtol=0, atol=TOLERANCE)
    # Kernel gradients are sums over hundreds of rows, up to 40 in size: the float32 unit there is 4e-6.
    for name in ("gw_ts", "gw"):
        np.testing.assert_allclose(kernel.grad, ts210[name], rtol=0, atol=TOLERANCE * np.abs(ts210[name]).max())
