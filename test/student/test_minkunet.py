"""The networks: sizes as counted in the paper's code, shapes, symmetry, learning."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sparse_oracle import cloud

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.sparse import SparseTensor, collate, fuse

SMALL = NetworkConfig(preset="tiny", width=0.25, in_channels=2, embedding_dim=7)
PRESETS = ["tiny", "14a", "18", "34"]


def network(config: NetworkConfig, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_network(config)


def scan(seed: int, channels: int = 2, voxels: int = 250, batch: int = 1) -> SparseTensor:
    coords = cloud(seed, voxels=voxels, batch=batch, reach=10)
    return SparseTensor(torch.randn(len(coords), channels, generator=torch.Generator().manual_seed(seed)), coords)


def trunk_parameters(config: NetworkConfig) -> int:
    with torch.device("meta"):
        parts = build_network(config).named_parameters()
        return sum(p.numel() for name, p in parts if not name.startswith("head."))


def test_trunk_of_14a_has_the_counted_8_01_million_parameters() -> None:
    assert trunk_parameters(NetworkConfig(preset="14a", in_channels=3)) == pytest.approx(8.01e6, abs=0.005e6)


def test_parameters_of_14a_follow_from_its_channels() -> None:
    """Counted by hand from the layer list: (stem, stages, ups), each convolution with its norm's 2 x channels."""

    def conv(volume: int, fan_in: int, fan_out: int) -> int:
        return volume * fan_in * fan_out + 2 * fan_out

    def block(fan_in: int, fan_out: int) -> int:
        skip = 0 if fan_in == fan_out else conv(1, fan_in, fan_out)
        return conv(27, fan_in, fan_out) + conv(27, fan_out, fan_out) + skip

    count = conv(27, 3, 32)
    for fan_in, planes in ((32, 32), (32, 64), (64, 128), (128, 256)):
        count += conv(8, fan_in, fan_in) + block(fan_in, planes)
    for fan_in, planes, skip in ((256, 128, 128), (128, 128, 64), (128, 96, 32), (96, 96, 32)):
        count += conv(8, fan_in, planes) + block(planes + skip, planes)
    assert trunk_parameters(NetworkConfig(preset="14a", in_channels=3)) == count


def test_presets_grow() -> None:
    sizes = [trunk_parameters(NetworkConfig(preset=preset)) for preset in PRESETS]
    assert sizes == sorted(sizes)
    assert sizes[0] * 4 < 4_000_000, "tiny must stay shippable: at most 4 MB"


@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_every_preset_gives_a_vector_for_every_voxel(preset: str) -> None:
    x = scan(seed=1, voxels=60)
    vectors = network(replace(SMALL, preset=preset)).eval()(x)
    assert vectors.shape == (len(x.coords), 7)
    assert bool(torch.isfinite(vectors).all())


def test_width_multiplies_channels() -> None:
    half, full = (network(replace(SMALL, width=w)).state_dict()["stem.0.kernel"].shape[2] for w in (0.5, 1.0))
    assert (half, full) == (8, 16)


@torch.no_grad()
def test_a_scan_is_labelled_alike_alone_and_in_a_batch() -> None:
    model, scans = network(SMALL).eval(), [scan(seed) for seed in (2, 3, 4)]
    together = model(collate([s.coords[:, 1:] for s in scans], [s.feats for s in scans]))
    alone = torch.cat([model(s) for s in scans])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@torch.no_grad()
def test_order_of_voxels_does_not_matter() -> None:
    model, x = network(SMALL).eval(), scan(seed=5)
    order = torch.randperm(len(x.coords), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(SparseTensor(x.feats[order], x.coords[order])), model(x)[order], rtol=0, atol=1e-5)


@torch.no_grad()
def test_moving_by_sixteen_voxels_changes_nothing() -> None:
    model, x = network(SMALL).eval(), scan(seed=6)
    moved = SparseTensor(x.feats, x.coords + torch.tensor([0, 16, -160, 1600], dtype=torch.int32))
    torch.testing.assert_close(model(moved), model(x), rtol=0, atol=1e-5)


@torch.no_grad()
def test_far_voxels_do_not_influence_each_other() -> None:
    model, x = network(SMALL).eval(), scan(seed=7)
    far = x.coords + torch.tensor([0, 100_000, 0, 0], dtype=torch.int32)
    pair = SparseTensor(torch.cat([x.feats, -x.feats]), torch.cat([x.coords, far]))
    torch.testing.assert_close(model(pair)[: len(x.coords)], model(x), rtol=0, atol=1e-5)


@torch.no_grad()
def test_folded_network_gives_the_same_vectors() -> None:
    model, x = network(SMALL), scan(seed=8)
    for seed in range(3):
        model(scan(seed))
    model.eval()
    torch.testing.assert_close(fuse(model)(x), model(x), rtol=0, atol=1e-5)


def test_it_learns_the_labels_of_one_scan() -> None:
    model, x = network(SMALL), scan(seed=9, voxels=150)
    labels = torch.randint(0, 7, (len(x.coords),), generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert not missing
    assert (model(x).argmax(1) == labels).float().mean().item() > 0.9


def test_names_and_layout_are_torchsparse_s() -> None:
    state = network(replace(SMALL, width=1.0)).state_dict()
    assert state["stem.0.kernel"].shape == (27, 2, 16)
    assert state["stage1.0.net.0.kernel"].shape == (8, 16, 16)
    assert state["up1.0.net.0.kernel"].shape[0] == 8
    assert {"stage1.1.net.3.kernel", "stage1.1.downsample.0.kernel", "up1.1.0.net.0.kernel", "head.weight"} <= set(
        state
    )


def test_unknown_network_is_refused() -> None:
    with pytest.raises(BadConfig, match="huge"):
        build_network(replace(SMALL, preset="huge"))
    with pytest.raises(BadConfig, match="spvcnn"):
        build_network(replace(SMALL, architecture="spvcnn"))


@pytest.mark.parametrize(("preset", "millions"), [("tiny", 0.93), ("14a", 8.01), ("18", 15.48), ("34", 36.59)])
def test_parameter_counts_are_those_of_the_documentation(preset: str, millions: float) -> None:
    assert trunk_parameters(NetworkConfig(preset=preset)) == pytest.approx(1e6 * millions, abs=5e3)
