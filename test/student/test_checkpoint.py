"""Checkpoints: what is saved comes back, what is hostile or does not fit is refused, quickly and by name."""

from __future__ import annotations

import json
import os
import pickle
import resource
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clip2scene_ros.classes import ClassSet, SemanticClass
from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.errors import BadCheckpoint
from clip2scene_ros.student import checkpoint
from clip2scene_ros.student.checkpoint import (
    CheckpointCard,
    current_versions,
    file_sha256,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT

NETWORK = NetworkConfig(preset="tiny", width=0.25, embedding_dim=6)
CLASSES = ClassSet(
    "pair", (SemanticClass("car", ("car", "auto"), (1, 2, 3)), SemanticClass("road", ("road",), (4, 5, 6)))
)


def card(network: NetworkConfig = NETWORK) -> CheckpointCard:
    generator = torch.Generator().manual_seed(3)
    return CheckpointCard(
        network=network,
        class_set=CLASSES,
        class_vectors=torch.randn(2, network.embedding_dim, generator=generator),
        temperature=0.07,
        normalize=True,
        notice="synthetic world, learned with labels, not for the road",
        licences={"data": "Apache-2.0", "text_model": "none"},
        data_sha256="ab" * 32,
        versions=current_versions(),
        created_by="clip2scene finetune --seed 1",
    )


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    return build_network(NETWORK).state_dict()


@pytest.fixture
def saved(tmp_path: Path, state: dict[str, torch.Tensor]) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, state, card())
    return path


def split(path: Path) -> tuple[dict[str, dict], bytes]:  # type: ignore[type-arg]
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(path: Path, header: object, data: bytes, length: int | None = None) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def refusal(path: Path) -> BadCheckpoint:
    """Load what must be refused; check that it costs less than a second and 100 MB and names the file."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(BadCheckpoint) as caught:
        load_checkpoint(path)
    assert time.monotonic() - start < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    assert str(path) in str(caught.value)
    return caught.value


def test_what_is_saved_comes_back(saved: Path, state: dict[str, torch.Tensor]) -> None:
    loaded, read = load_checkpoint(saved)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    expected = card()
    assert torch.equal(read.class_vectors, expected.class_vectors)
    for name in CheckpointCard.__dataclass_fields__.keys() - {"class_vectors"}:
        assert getattr(read, name) == getattr(expected, name), name


def test_same_content_gives_the_same_bytes(saved: Path, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    save_checkpoint(tmp_path / "again.safetensors", state, card())
    assert file_sha256(saved) == file_sha256(tmp_path / "again.safetensors")


def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_behind(
    saved: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(saved, {name: tensor + 1 for name, tensor in state.items()}, card())
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_the_new_file_is_on_disk_before_it_takes_the_name(
    saved: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (steps.append("replace"), rename(a, b)))
    save_checkpoint(saved, state, card())
    assert steps == ["fsync", "replace", "fsync"]


def test_saving_refuses_what_loading_would(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    state.pop("head.bias")
    with pytest.raises(BadCheckpoint, match=r"1 missing: head\.bias"):
        save_checkpoint(tmp_path / "x.safetensors", state, card())
    assert not list(tmp_path.iterdir())


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.safetensors").reason == "missing"
    assert refusal(tmp_path).reason == "missing"
    assert "it is a folder" in str(refusal(tmp_path))


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 100, 0.5, -1])
def test_truncated_file_is_refused(saved: Path, kept: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    assert refusal(saved).reason == "truncated"


def test_trailing_bytes_are_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"more")
    assert refusal(saved).reason == "header"


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_in_disguise_is_named_and_never_run(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "student.safetensors"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "ran"), protocol=protocol))
    error = refusal(path)
    if protocol >= 2:
        assert error.reason == "pickle"
        assert "pickle" in str(error)
    assert not (tmp_path / "ran").exists()


def test_torch_archive_and_zip_bomb_are_named(tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    torch.save({"a": torch.zeros(2)}, path)
    assert refusal(path).reason == "pickle"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", bytes(50_000_000))
    assert refusal(path).reason == "pickle"


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**62, 1 << 21])
def test_monstrous_header_length_is_refused(saved: Path, length: int) -> None:
    header, data = split(saved)
    assert refusal(join(saved, header, data, length=length)).reason == "header"


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [-27, 1, 4]},
        {"shape": [-1]},
        {"shape": [2**63, 2**63]},
        {"shape": ["27"]},
        {"shape": 3},
        {"shape": [True]},
        {"shape": [1] * 100},
        {"dtype": "F99"},
        {"dtype": ["F32"]},
        {"dtype": None},
        {"data_offsets": [0, -4]},
        {"data_offsets": [0]},
        {"data_offsets": [4, 0]},
        {"data_offsets": [0, 2**60]},
    ],
    ids=str,
)
def test_impossible_tensor_is_refused(saved: Path, change: dict[str, object]) -> None:
    header, data = split(saved)
    header["stem.0.kernel"].update(change)
    assert refusal(join(saved, header, data)).reason == "header"


def test_overlapping_tensors_are_refused(saved: Path) -> None:
    header, data = split(saved)
    header["head.bias"]["data_offsets"] = header["stem.1.bias"]["data_offsets"][:]
    header["head.bias"]["shape"] = header["stem.1.bias"]["shape"][:]
    assert refusal(join(saved, header, data)).reason == "header"


@pytest.mark.parametrize("header", ["[" * 200_000, "{]", "[]", "3", '"text"', "nul", "9" * 6000, "\ud800"])
def test_header_that_is_no_mapping_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "x.safetensors"
    text = header.encode("utf-8", "surrogatepass")
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    assert refusal(path).reason == "format"


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"format": "pt"}, {"clip2scene": ""}, {"clip2scene": "[" * 100_000}, {"clip2scene": "[]"}, [], "text"],
    ids=lambda m: str(m)[:30],
)
def test_missing_or_malformed_metadata_is_refused(saved: Path, metadata: object) -> None:
    header, data = split(saved)
    del header["__metadata__"]
    if metadata is not None:
        header["__metadata__"] = metadata  # type: ignore[assignment]
    assert refusal(join(saved, header, data)).reason == "metadata"


def test_a_clip_is_said_to_be_no_student() -> None:
    error = refusal(DEMO_CHECKPOINT.with_name("tiny_clip.safetensors"))
    assert "expected a student" in str(error)
    assert "clip2scene_clip" in str(error)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("format", 2, "format 1"),
        ("network", None, "network"),
        ("network", {"preset": "huge"}, "preset"),
        ("network", {"depth": 3}, "depth"),
        ("network", {"width": 1e9}, "width"),
        ("network", {"voxel_size_m": float("nan")}, "voxel_size_m"),
        ("class_set", None, "classes"),
        ("class_set", {"classes": []}, "classes"),
        ("temperature", 0, "temperature"),
        ("temperature", float("nan"), "temperature"),
        ("temperature", "hot", "temperature"),
        ("temperature", True, "temperature"),
        ("normalize", 1, "normalize"),
        ("notice", 5, "notice"),
        ("licences", {"data": 3}, "licences"),
        ("versions", [], "versions"),
    ],
)
def test_card_with_a_wrong_value_is_refused_by_name(saved: Path, key: str, value: object, text: str) -> None:
    header, data = split(saved)
    content = json.loads(header["__metadata__"]["clip2scene"])
    content[key] = value
    header["__metadata__"]["clip2scene"] = json.dumps(content)
    error = refusal(join(saved, header, data))
    assert error.reason == "metadata"
    assert text in str(error)


def test_card_of_another_network_is_refused_before_it_is_built(saved: Path) -> None:
    header, data = split(saved)
    content = json.loads(header["__metadata__"]["clip2scene"])
    content["network"].update(preset="34", width=4.0)  # 2 GB of weights, were it built
    header["__metadata__"]["clip2scene"] = json.dumps(content)
    error = refusal(join(saved, header, data))
    assert error.reason == "network"
    assert "stem.0.kernel: expected (27, 1, 128) float32, found (27, 1, 4) float32" in str(error)


def test_wrong_type_missing_and_unexpected_tensors_are_all_listed(saved: Path) -> None:
    header, data = split(saved)
    header["head.bias"].update(dtype="I32")
    header["intruder"] = header.pop("head.weight")
    error = refusal(join(saved, header, data))
    assert error.reason == "network"
    for text in (
        "1 missing: head.weight",
        "1 unexpected: intruder",
        "head.bias: expected (6,) float32, found (6,) int32",
    ):
        assert text in str(error)


def test_class_vectors_must_fit_the_class_set(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    short = replace(card(), class_vectors=torch.zeros(1, 6))
    with pytest.raises(BadCheckpoint, match=r"class_vectors: expected \(2, 6\) float32, found \(1, 6\)"):
        save_checkpoint(tmp_path / "x.safetensors", state, short)


def test_nan_weights_are_refused(saved: Path) -> None:
    header, data = split(saved)
    begin = header["head.bias"]["data_offsets"][0]
    patched = data[:begin] + b"\x00\x00\xc0\x7f" + data[begin + 4 :]
    error = refusal(join(saved, header, patched))
    assert error.reason == "not_finite"
    assert "head.bias" in str(error)


def test_every_flipped_header_byte_is_refused_or_read_as_before(saved: Path) -> None:
    content = saved.read_bytes()
    length = int.from_bytes(content[:8], "little")
    generator = torch.Generator().manual_seed(11)
    for position in torch.randint(0, 8 + length, (150,), generator=generator).tolist():
        saved.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        try:
            load_checkpoint(saved)  # a letter of the notice may change; anything else must be BadCheckpoint
        except BadCheckpoint:
            continue


def test_load_weights_lists_everything_and_leaves_the_network_alone(state: dict[str, torch.Tensor]) -> None:
    network = build_network(NETWORK)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state["head.weight"] = torch.zeros(9, 9)
    state["classifier.weight"] = state.pop("head.bias")
    with pytest.raises(BadCheckpoint) as caught:
        load_weights(network, state)
    assert caught.value.reason == "weights"
    for text in (
        "missing: head.bias",
        "unexpected: classifier.weight",
        "head.weight: expected (6, 8) float32, found (9, 9)",
    ):
        assert text in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_partial_load_takes_what_fits_and_reports_the_rest(state: dict[str, torch.Tensor]) -> None:
    network = build_network(NETWORK)
    state["head.weight"] = torch.zeros(9, 9)
    state["classifier.weight"] = state.pop("head.bias")
    report = load_weights(network, state, partial=True)
    assert (report.missing, report.unexpected) == (("head.bias",), ("classifier.weight",))
    assert len(report.mismatched) == 1
    assert not report.complete
    assert torch.equal(network.state_dict()["stem.0.kernel"], state["stem.0.kernel"])


def test_partial_load_of_nothing_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match="0 tensors fit"):
        load_weights(build_network(NETWORK), {"a": torch.zeros(1)}, partial=True)


def test_file_sha256_is_the_known_digest_of_abc(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_only_this_format_is_written(saved: Path) -> None:
    header, _ = split(saved)
    content = json.loads(header["__metadata__"]["clip2scene"])
    assert (content["format"], content["layout"]) == (checkpoint.FORMAT, "torchsparse")
