"""Both networks: sizes as counted in the paper's code, shapes, symmetry, learning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from sparse_oracle import cloud

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.student.networks import TwoHeads, UNet, build_network
from clip2scene_ros.student.sparse import SparseTensor, collate, fuse

SMALL = NetworkConfig(preset="tiny", width=0.25, in_channels=2, embedding_dim=7)
PRESETS = ["tiny", "14a", "18", "34", "paper"]
ARCHITECTURES = ["minkunet", "spvcnn"]
SWALLOWED = {f"point_transforms.{step}.0.bias" for step in range(3)}
"""The norm after these takes the mean away, and with it their effect; the paper's code has them nevertheless."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """These networks are so small that waiting for a second thread costs more than it brings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=ARCHITECTURES)
def small(request: pytest.FixtureRequest) -> NetworkConfig:
    """A small network of each architecture."""
    return replace(SMALL, architecture=request.param)


def network(config: NetworkConfig, seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return build_network(config)


def scan(seed: int, channels: int = 2, voxels: int = 250, batch: int = 1) -> SparseTensor:
    coords = cloud(seed, voxels=voxels, batch=batch, reach=10)
    return SparseTensor(torch.randn(len(coords), channels, generator=torch.Generator().manual_seed(seed)), coords)


def trunk_parameters(config: NetworkConfig) -> int:
    with torch.device("meta"):
        parts = build_network(config).named_parameters()
        return sum(p.numel() for name, p in parts if not name.startswith("head."))


def test_trunk_of_the_paper_s_spvcnn_has_the_counted_21_77_million_parameters() -> None:
    paper = NetworkConfig(architecture="spvcnn", preset="paper")
    assert trunk_parameters(paper) == pytest.approx(21.77e6, abs=0.005e6)


def test_the_paper_s_scannet_student_is_14a() -> None:
    with torch.device("meta"):
        paper, student = (build_network(NetworkConfig(preset=preset)).state_dict() for preset in ("paper", "14a"))
    assert {name: t.shape for name, t in paper.items()} == {name: t.shape for name, t in student.items()}


def test_each_of_the_paper_s_heads_has_246_thousand_parameters() -> None:
    with torch.device("meta"):
        heads = TwoHeads(build_network(NetworkConfig(architecture="spvcnn", preset="paper", embedding_dim=512)))
    assert [sum(p.numel() for p in head.parameters()) for head in (heads.local, heads.network.head)] == [246_272] * 2


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
    sizes = [trunk_parameters(NetworkConfig(preset=preset)) for preset in PRESETS[:4]]
    assert sizes == sorted(sizes)
    assert sizes[0] * 4 < 4_000_000, "tiny must stay shippable: at most 4 MB"


@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_every_preset_gives_a_vector_for_every_voxel(preset: str, small: NetworkConfig) -> None:
    x = scan(seed=1, voxels=60)
    vectors = network(replace(small, preset=preset)).eval()(x)
    assert vectors.shape == (len(x.coords), 7)
    assert bool(torch.isfinite(vectors).all())


def test_width_multiplies_channels(small: NetworkConfig) -> None:
    half, full = (network(replace(small, width=w)) for w in (0.5, 1.0))
    assert (half.stem[0].kernel.shape[2], full.stem[0].kernel.shape[2]) == (8, 16)
    assert half.feature_dim * 2 == full.feature_dim
    norms = ({n: len(t) for n, t in net.state_dict().items() if n.endswith("running_mean")} for net in (half, full))
    halves, fulls = norms
    assert {name: 2 * channels for name, channels in halves.items()} == fulls


@torch.no_grad()
def test_a_scan_is_labelled_alike_alone_and_in_a_batch(small: NetworkConfig) -> None:
    model, scans = network(small).eval(), [scan(seed) for seed in (2, 3, 4)]
    together = model(collate([s.coords[:, 1:] for s in scans], [s.feats for s in scans]))
    alone = torch.cat([model(s) for s in scans])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@torch.no_grad()
def test_order_of_voxels_does_not_matter(small: NetworkConfig) -> None:
    model, x = network(small).eval(), scan(seed=5)
    order = torch.randperm(len(x.coords), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(SparseTensor(x.feats[order], x.coords[order])), model(x)[order], rtol=0, atol=1e-5)


@torch.no_grad()
def test_moving_by_sixteen_voxels_changes_nothing(small: NetworkConfig) -> None:
    model, x = network(small).eval(), scan(seed=6)
    moved = SparseTensor(x.feats, x.coords + torch.tensor([0, 16, -160, 1600], dtype=torch.int32))
    torch.testing.assert_close(model(moved), model(x), rtol=0, atol=1e-5)


@torch.no_grad()
def test_far_voxels_do_not_influence_each_other(small: NetworkConfig) -> None:
    model, x = network(small).eval(), scan(seed=7)
    far = x.coords + torch.tensor([0, 100_000, 0, 0], dtype=torch.int32)
    pair = SparseTensor(torch.cat([x.feats, -x.feats]), torch.cat([x.coords, far]))
    torch.testing.assert_close(model(pair)[: len(x.coords)], model(x), rtol=0, atol=1e-5)


@torch.no_grad()
def test_folded_network_gives_the_same_vectors(small: NetworkConfig) -> None:
    model, x = network(small), scan(seed=8)
    for seed in range(3):
        model(scan(seed))
    model.eval()
    torch.testing.assert_close(fuse(model)(x), model(x), rtol=0, atol=1e-5)


def test_it_learns_the_labels_of_one_scan(small: NetworkConfig) -> None:
    model, x = network(small), scan(seed=9, voxels=150)
    labels = torch.randint(0, 7, (len(x.coords),), generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    missing = {name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)}
    assert missing <= SWALLOWED
    assert (model(x).argmax(1) == labels).float().mean().item() > 0.9


@pytest.mark.parametrize("preset", ["14a", "18", "34", "paper"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_step_on_intensity_or_colour_moves_every_weight(preset: str, channels: int, small: NetworkConfig) -> None:
    model = network(replace(small, preset=preset, width=0.125, in_channels=channels))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    x = scan(seed=10, channels=channels, voxels=300)
    labels = torch.randint(0, 7, (len(x.coords),), generator=torch.Generator().manual_seed(2))
    torch.nn.functional.cross_entropy(model(x), labels).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    still = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert still <= SWALLOWED
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


def test_two_heads_read_the_same_features(small: NetworkConfig) -> None:
    model, x = TwoHeads(network(small)).eval(), scan(seed=11)
    local, whole = model(x)
    torch.testing.assert_close(whole, model.network(x))
    torch.testing.assert_close(local, model.local(model.network.features(x)))
    assert local.shape == whole.shape == (len(x.coords), 7)
    assert not torch.allclose(local, whole)


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
    with pytest.raises(BadConfig, match="minkunet, spvcnn"):
        build_network(replace(SMALL, architecture="pointnet"))


@pytest.mark.parametrize(
    ("preset", "millions"),
    [
        ("tiny", (0.93, 0.93)),
        ("14a", (8.01, 8.07)),
        ("18", (15.48, 15.53)),
        ("34", (36.59, 36.65)),
        ("paper", (8.01, 21.77)),
    ],
)
def test_parameter_counts_are_those_of_the_documentation(preset: str, millions: tuple[float, float]) -> None:
    counts = [trunk_parameters(NetworkConfig(architecture, preset)) for architecture in ARCHITECTURES]
    assert counts == pytest.approx([1e6 * m for m in millions], abs=5e3)
