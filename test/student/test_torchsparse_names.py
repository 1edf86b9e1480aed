"""Checkpoints in the official layout and back: names and shapes of CLIP2Scene's SPVCNN, written out by hand.

The values are random: the official weights were never published.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from clip2scene_ros import cli
from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import NetworkConfig, SegmenterConfig
from clip2scene_ros.errors import BadCheckpoint, BadClassSet, BadConfig
from clip2scene_ros.frame import Scan
from clip2scene_ros.student.checkpoint import CheckpointCard, load_checkpoint, save_checkpoint
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT, Segmenter
from clip2scene_ros.student.torchsparse import (
    Told,
    export_torchsparse,
    from_torchsparse,
    import_torchsparse,
    official_entries,
    to_torchsparse,
)

CLASSES = 16
Shapes = dict[str, tuple[int, ...]]


def norm(name: str, channels: int) -> Shapes:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (channels,) for part in parts} | {f"{name}.num_batches_tracked": ()}


def conv(name: str, index: int, volume: int, fan_in: int, fan_out: int) -> Shapes:
    kernel = (volume, fan_in, fan_out) if volume > 1 else (fan_in, fan_out)
    return {f"{name}.{index}.kernel": kernel} | norm(f"{name}.{index + 1}", fan_out)


def linear(name: str, fan_in: int, fan_out: int) -> Shapes:
    return {f"{name}.weight": (fan_out, fan_in), f"{name}.bias": (fan_out,)}


def two_blocks(name: str, first: int, fan_in: int, fan_out: int) -> Shapes:
    shapes: Shapes = {}
    for index in (first, first + 1):
        shapes |= conv(f"{name}.{index}.net", 0, 27, fan_in, fan_out)
        shapes |= conv(f"{name}.{index}.net", 3, 27, fan_out, fan_out)
        if fan_in != fan_out:
            shapes |= conv(f"{name}.{index}.downsample", 0, 1, fan_in, fan_out)
        fan_in = fan_out
    return shapes


def official_shapes() -> Shapes:
    """Every tensor of the official SPVCNN in nuScenes pretraining, by its layer list (1 channel, 16 texts of 512)."""
    shapes = conv("stem", 0, 27, 1, 32) | conv("stem", 3, 27, 32, 32)
    for stage, (fan_in, fan_out) in enumerate([(32, 32), (32, 64), (64, 128), (128, 256)], 1):
        shapes |= conv(f"stage{stage}.0.net", 0, 8, fan_in, fan_in) | two_blocks(f"stage{stage}", 1, fan_in, fan_out)
    for stage, (fan_in, fan_out, skip) in enumerate([(256, 256, 128), (256, 128, 64), (128, 96, 32), (96, 96, 32)], 1):
        shapes |= conv(f"up{stage}.0.net", 0, 8, fan_in, fan_out)
        shapes |= two_blocks(f"up{stage}.1", 0, fan_out + skip, fan_out)
    for step, (fan_in, fan_out) in enumerate([(32, 256), (256, 128), (128, 96)]):
        shapes |= linear(f"point_transforms.{step}.0", fan_in, fan_out) | norm(f"point_transforms.{step}.1", fan_out)
    for head in ("point_mapping_local", "point_mapping_global", "point_mapping_global_random"):
        shapes |= linear(head, 480, 512)
    return shapes | linear("classifier.0", 480, CLASSES + 1) | {"text_embeddings": (CLASSES + 1, 512)}


@pytest.fixture(scope="module")
def official() -> dict[str, torch.Tensor]:
    """A state dict with the official names and shapes and random values."""
    chance = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    for name, shape in official_shapes().items():
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            tensors[name] = torch.rand(shape, generator=chance) + 0.5
        else:
            tensors[name] = 0.05 * torch.randn(shape, generator=chance)
    tensors["text_embeddings"][0] = 0
    return tensors


@pytest.fixture(scope="module")
def official_file(official: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("official") / "official.safetensors"
    save_file(official, path)
    return path


def told(intensity_max: float = 1.0, class_set: str = "nuscenes", voxel_size_m: float = 0.1) -> Told:
    return Told(load_class_set(class_set), voxel_size_m, intensity_max)


def test_the_list_by_hand_has_the_counted_parameters(official: dict[str, torch.Tensor]) -> None:
    outside = ("point_mapping", "classifier", "text_embeddings")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    trunk = [t.numel() for n, t in official.items() if not n.startswith(outside) and not n.endswith(statistics)]
    assert sum(trunk) == 21_773_568


def test_our_paper_network_has_the_official_names_and_shapes() -> None:
    config = NetworkConfig(architecture="spvcnn", preset="paper", embedding_dim=512)
    ours = {name: entry.shape for name, entry in official_entries(config, CLASSES).items()}
    without = ("point_mapping_local.", "point_mapping_global_random.", "classifier.")
    assert ours == {name: shape for name, shape in official_shapes().items() if not name.startswith(without)}


def test_every_official_tensor_is_carried_or_named(
    official: dict[str, torch.Tensor], official_file: Path, tmp_path: Path
) -> None:
    account = import_torchsparse(official_file, tmp_path / "ours.safetensors", told())
    sources = [old for old, _, _ in account.carried] + list(account.left_out)
    assert sorted(sources) == sorted(official)
    state, card = load_checkpoint(tmp_path / "ours.safetensors")
    assert sorted(new for _, new, _ in account.carried) == sorted([*state, "class_vectors"])
    for old, new, how in account.carried:
        mine = card.class_vectors if new == "class_vectors" else state[new]
        theirs = official[old][1:] if old == "text_embeddings" else official[old]
        assert torch.equal(mine.reshape(theirs.shape), theirs), (old, new)
        assert bool(how) == (mine.shape != official[old].shape)
    assert set(account.left_out) == {
        "classifier.0.weight",
        "classifier.0.bias",
        *(f"point_mapping_{head}.{p}" for head in ("local", "global_random") for p in ("weight", "bias")),
    }


def test_official_weights_go_in_and_come_out_unchanged(
    official: dict[str, torch.Tensor], official_file: Path, tmp_path: Path
) -> None:
    ours, again = tmp_path / "ours.safetensors", tmp_path / "again.safetensors"
    left_out = import_torchsparse(official_file, ours, told()).left_out
    account = export_torchsparse(ours, again)
    written = load_file(again)
    assert {*written, *left_out} == set(official)
    assert all(any(name.startswith(absent) for absent in account.absent) for name in left_out)
    assert all(torch.equal(tensor, official[name]) for name, tensor in written.items())


def test_a_checkpoint_goes_out_and_comes_back_byte_by_byte(tmp_path: Path) -> None:
    for architecture in ("minkunet", "spvcnn"):
        config = NetworkConfig(architecture=architecture, preset="14a", width=0.25, embedding_dim=6)
        classes = load_class_set("world")
        vectors = torch.randn(len(classes), 6, generator=torch.Generator().manual_seed(1))
        first, there, back = (tmp_path / f"{architecture}_{n}.safetensors" for n in ("first", "there", "back"))
        save_checkpoint(first, build_network(config).state_dict(), CheckpointCard(config, classes, vectors))
        export_torchsparse(first, there)
        import_torchsparse(there, back)
        assert first.read_bytes() == back.read_bytes()
        assert first.read_bytes() != there.read_bytes()


def test_words_beside_the_classes_are_said_to_be_left_out(tmp_path: Path) -> None:
    student = DEMO_CHECKPOINT.with_name("student.safetensors")
    account = export_torchsparse(student, tmp_path / "out.safetensors")
    assert set(account.left_out) == {"word_rows"}
    assert {old for old, _, _ in account.carried} | set(account.left_out) == set(load_file(student))


def test_imported_weights_label_a_scan_as_the_official_step_would(official_file: Path, tmp_path: Path) -> None:
    """The class with the largest raw product of global embedding and text, intensities being 0 to 255 there."""
    path = tmp_path / "ours.safetensors"
    import_torchsparse(official_file, path, told(intensity_max=255.0))
    rng = np.random.default_rng(0)
    points = np.unique(rng.integers(-12, 12, (300, 3)), axis=0)  # one a voxel
    metres = (points * 0.1 + 0.05).astype(np.float32)
    scan = Scan(metres, rng.uniform(0, 1, len(points)).astype(np.float32))
    segmenter = Segmenter.load(SegmenterConfig(checkpoint=str(path), device="cpu", min_range_m=0.0))
    labels = segmenter.segment(scan)

    from clip2scene_ros.student.sparse import collate

    state, _ = from_torchsparse(load_file(official_file), segmenter.card)
    network = build_network(segmenter.card.network).eval()
    network.load_state_dict(state)
    with torch.no_grad():
        raw = torch.from_numpy(scan.intensity * np.float32(255.0))
        vectors = network(collate([torch.from_numpy(points.astype(np.int32))], [raw.unsqueeze(1)]))
    scores = vectors @ load_file(official_file)["text_embeddings"][1:].T
    best = scores.topk(2, dim=1).values
    clear = (best[:, 0] - best[:, 1] > 1e-3).numpy()
    assert clear.mean() > 0.8
    assert (labels.class_id == scores.argmax(1).numpy())[clear].all()
    assert "imported weights" in segmenter.describe()


def changed(official: dict[str, torch.Tensor], path: Path, **new: torch.Tensor | None) -> Path:
    tensors = {**official, **{name.replace("__", "."): tensor for name, tensor in new.items()}}
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)
    return path


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({"stage3__1__net__0__kernel": None}, ["1 missing: stage3.1.net.0.kernel"]),
        ({"surprise": torch.zeros(2)}, ["1 unexpected: surprise"]),
        (
            {"up1__1__0__downsample__0__kernel": torch.zeros(1, 384, 256)},
            ["1 mismatched: up1.1.0.downsample.0.kernel", "(384, 256)"],
        ),
        ({"text_embeddings": None}, ["text_embeddings", "there is none"]),
        ({"text_embeddings": torch.ones(CLASSES + 1, 512)}, ["first row zero"]),
        ({"stem__0__kernel": torch.full((27, 1, 32), float("nan"))}, ["stem.0.kernel", "finite"]),
    ],
)
def test_other_tensors_are_refused_by_name(
    official: dict[str, torch.Tensor], new: dict[str, torch.Tensor | None], words: list[str], tmp_path: Path
) -> None:
    source = changed(official, tmp_path / "changed.safetensors", **new)
    with pytest.raises(BadCheckpoint) as error:
        import_torchsparse(source, tmp_path / "out.safetensors", told())
    for word in words:
        assert word in str(error.value)
    assert not (tmp_path / "out.safetensors").exists()


def test_what_a_file_does_not_tell_must_be_told(official_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(BadConfig, match="--class-set, --voxel-size-m and --intensity-max"):
        import_torchsparse(official_file, out)
    with pytest.raises(BadClassSet, match="Expected 16 classes"):
        import_torchsparse(official_file, out, told(class_set="world"))
    with pytest.raises(BadConfig, match="voxel_size_m"):
        import_torchsparse(official_file, out, told(voxel_size_m=-1.0))
    with pytest.raises(BadConfig, match="brightest"):
        import_torchsparse(official_file, out, told(intensity_max=float("nan")))
    export_torchsparse(DEMO_CHECKPOINT, tmp_path / "demo.safetensors")
    with pytest.raises(BadConfig, match="itself"):
        import_torchsparse(tmp_path / "demo.safetensors", out, told())
    assert not out.exists()


def test_names_under_module_are_known(official: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file({f"module.{name}": tensor for name, tensor in official.items()}, tmp_path / "ddp.safetensors")
    account = import_torchsparse(tmp_path / "ddp.safetensors", tmp_path / "ours.safetensors", told())
    assert len(account.carried) + len(account.left_out) == len(official)


def test_matrices_are_the_convolutions_where_channels_change() -> None:
    config = NetworkConfig(preset="14a", width=0.25, embedding_dim=4)
    card = CheckpointCard(config, load_class_set("world"), torch.zeros(15, 4))
    tensors, account = to_torchsparse(build_network(config).state_dict(), card)
    flat = {name for name, t in tensors.items() if name.endswith(".kernel") and t.ndim == 2}
    assert flat == {new for _, new, how in account.carried if "matrix" in how}
    assert flat == {name for name in tensors if name.endswith("downsample.0.kernel")}
    assert len(flat) == 7


@pytest.fixture
def sigterm_as_it_was() -> Iterator[None]:
    """A command takes SIGTERM over; in a process of its own that would end with it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm_as_it_was")
def test_the_command_line_tells_what_became_of_every_tensor(
    official_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = tmp_path / "ours.safetensors"
    words = ["export", str(official_file), "--layout", "clip2scene", "--out", str(ours), "--class-set", "nuscenes"]
    assert cli.main(words) == 1
    assert "together" in capsys.readouterr().err
    assert cli.main([*words, "--voxel-size-m", "0.1", "--intensity-max", "255"]) == 0
    said = capsys.readouterr().out
    assert "stem.0.kernel -> stem.0.kernel (times 255" in said
    assert "point_mapping_local.weight left out" in said
    assert load_checkpoint(ours)[1].created_by.startswith("clip2scene export ")
    assert cli.main(["export", str(ours), "--layout", "torchsparse", "--out", str(ours)]) == 1
    assert "itself" in capsys.readouterr().err
    assert cli.main(["export", str(ours), "--layout", "torchsparse", "--out", str(official_file)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main(["export", str(ours), "--layout", "torchsparse", "--out", str(tmp_path / "new.safetensors")]) == 0
    assert "class_vectors -> text_embeddings" in capsys.readouterr().out
