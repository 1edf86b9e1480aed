"""`clip2scene pretrain SHARDS`: what was collected is learned, with and without images; what does not fit is told."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line import clip2scene
from labelled_shards import write_shards
from safetensors.torch import load_file
from shard_frames import ROOMY
from small_street import write_clip, write_street

from clip2scene_ros.config import ClipConfig, NetworkConfig, TextConfig
from clip2scene_ros.errors import BadClassSet, BadConfig
from clip2scene_ros.io.shards import Provenance, ShardReader, ShardWriter
from clip2scene_ros.student.checkpoint import load_checkpoint
from clip2scene_training.config import DistillConfig, ImageAugmentConfig, PairsConfig, SpaceTimeConfig, SwitchConfig
from clip2scene_training.datasets.shards import ShardDataset, ShardLabels
from clip2scene_training.pretrain import pretrain
from clip2scene_training.pretrain_config import PretrainConfig
from clip2scene_training.pretrain_data import prepare
from clip2scene_training.pretrain_samples import make_pretrain_sample

SMALL = ("--network.width", "0.25", "--network.voxel-size-m", "0.3", "--text.cache", "", "--batch-size", "1")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "small.safetensors")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards") / "drive")


@pytest.fixture(scope="module")
def dropped(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("dropped") / "drive", images="drop")


@pytest.fixture(scope="module")
def config(clip):
    return PretrainConfig(
        clip=ClipConfig(checkpoint=str(clip), device="cpu"),
        text=TextConfig(cache=""),
        network=NetworkConfig(width=0.25, voxel_size_m=0.3),
        images=ImageAugmentConfig(give="none"),
        pairs=PairsConfig(labels="point"),
        switching=SwitchConfig(prediction="ema", unpaired=True),
        steps=4,
        save_every=2,
    )


def run(clip: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return clip2scene("pretrain", *words, *SMALL, "--clip.checkpoint", clip, "--clip.device", "cpu")


def test_the_command_learns_shards_of_several_drives_wherever_they_lie(shards, clip, tmp_path):
    write_shards(tmp_path / "all" / "rear", 1, vehicle="car-8")  # `all` is what several LiDARs leave
    out, rest = tmp_path / "student.safetensors", ["--labels", tmp_path / "features", "--steps", "1"]
    rest += ["--space-time.weight", "1"]  # which reads features of pixels, where images were kept
    done = run(clip, shards, tmp_path / "all", *rest, "--out", out)
    assert done.returncode == 0, done.stderr
    _, card = load_checkpoint(out)
    assert card.class_set.names == ("road", "car", "person")
    assert card.notice == (
        "learned from the labels of small that car-7, car-8 has collected; no point and no pixel was labelled by a "
        "person; Only for tests."
    )
    assert len(card.data_sha256) == 64
    assert set(card.licences) == {"data", "code", "text_model"}
    assert (card.text_model, card.created_by.split(" --")[0]) == (
        "small",
        f"clip2scene pretrain {shards} {tmp_path / 'all'}",
    )
    assert list((tmp_path / "features").glob("maps_*/*.npz"))
    moved = shutil.copytree(shards, tmp_path / "moved")
    again = run(clip, moved, tmp_path / "all", *rest, "--out", out, "--resume")
    assert again.returncode == 0, again.stderr
    fewer = run(clip, shards, *rest, "--out", out, "--resume")
    assert fewer.returncode == 1
    assert "data was" in fewer.stderr


def test_an_interrupted_run_on_shards_resumes_as_if_unbroken(dropped, config, tmp_path, monkeypatch):
    from clip2scene_training import pretrain as module

    data, real, last = ShardLabels(ShardDataset(dropped)), module.losses_of, config.steps - 1
    pretrain(data, None, config, tmp_path / "whole.safetensors")

    def stops(*rest):
        if rest[-1] == last:
            raise KeyboardInterrupt
        return real(*rest)

    monkeypatch.setattr(module, "losses_of", stops)
    with pytest.raises(KeyboardInterrupt):
        pretrain(data, None, config, tmp_path / "broken.safetensors")
    monkeypatch.undo()
    pretrain(ShardLabels(ShardDataset(dropped)), None, config, tmp_path / "broken.safetensors", resume=True)
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_without_images_every_labelled_point_is_learned_and_no_pixel_is_read(dropped, config, caplog):
    labels = ShardLabels(ShardDataset(dropped, with_images=True))
    with caplog.at_level(logging.WARNING):
        lessons = prepare(labels, None, config)
    assert str(dropped) in caplog.text
    assert "points alone" in caplog.text
    assert lessons.features is lessons.maps is lessons.quality is None
    assert lessons.keys == (0, 1, 2)
    found = labels.labelled(1)
    sample = make_pretrain_sample([found], lessons.config.data, (0, 0, 1))
    known = found.labels.class_id != 255
    assert len(sample.pair_point) == int((sample.class_id != 255).sum()) <= known.sum()
    assert len(sample.pair_point) > 0.9 * known.sum()  # but for those out of range
    assert torch.equal(sample.pair_class, sample.class_id[sample.pair_point])


def test_with_images_pairs_are_the_points_that_a_camera_sees(shards, config, tmp_path):
    lessons = prepare(ShardLabels(ShardDataset(shards, with_images=True)), None, config, cache=tmp_path)
    assert lessons.features is not None
    assert lessons.maps is not None
    found = lessons.frames.labelled(0)
    sample = make_pretrain_sample([found], lessons.config.data, (0, 0, 0), maps=[lessons.maps.of(0, found.frame)])
    assert sample.views == len(found.frame.views) > 0
    assert lessons.features.of(sample).shape == (len(sample.pair_point), 16)


def test_labels_of_another_segmenter_claim_nothing(config, tmp_path):
    data = ShardLabels(ShardDataset(write_shards(tmp_path, clip="", images="drop")))
    assert prepare(data, None, config).card.notice == (
        "learned from labels of another segmenter that car-7 has collected; Only for tests."
    )


def test_labels_of_shards_are_of_points_whatever_the_preset_says(dropped, config, caplog):
    asked = replace(config, pairs=PairsConfig())
    with caplog.at_level(logging.WARNING):
        assert prepare(ShardLabels(ShardDataset(dropped)), None, asked).config.pairs.labels == "point"
    assert "pairs.labels is `point`" in caplog.text


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"classes": "nuscenes"}, BadClassSet, r"asks for nuscenes \(barrier.*mean words \(road, car, person\)"),
        ({"teacher": "bag"}, BadConfig, "teacher` is 'bag', but the labels of .* lie in it"),
        ({"space_time": SpaceTimeConfig(form="cosine")}, BadConfig, "cosine.*holds no images: expected shards that"),
        ({"distill": DistillConfig(weight=1.0)}, BadConfig, r"distill\.weight.*holds no images"),
    ],
)
def test_what_shards_do_not_have_is_told(dropped, config, change, error, said):
    with pytest.raises(error, match=said):
        prepare(ShardLabels(ShardDataset(dropped)), None, replace(config, **change))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("{shards} {bag}", r"bags or shards.*both: .*drive\.mcap is no folder of shards.*clip2scene collect"),
        ("{shards} --classes world", r"asks for world \(.*the labels of .* mean words \(road, car, person\)"),
        ("{shards} --classes gone.yaml", r"gone\.yaml"),
        ("{damaged}", r"shard_000000\.tar"),
        ("{bare}", "expected labels of one class set in all frames, but got: none"),
    ],
)
def test_wrong_shards_end_in_one_line(shards, clip, tmp_path, words, said):
    places = {"shards": shards, "bag": tmp_path / "drive.mcap", "damaged": tmp_path / "cut", "bare": tmp_path / "bare"}
    if "bag" in words:
        write_street(places["bag"])
    if "damaged" in words:
        shutil.copytree(shards, places["damaged"])
        shard = places["damaged"] / "shard_000000.tar"
        content = shard.read_bytes()
        shard.unlink()
        shard.write_bytes(content[: len(content) // 2])
    if "bare" in words:
        with ShardWriter(places["bare"], Provenance("car"), ROOMY) as writer:
            writer.append(ShardReader(shards)[0].frame)
    out = tmp_path / "student.safetensors"
    done = run(clip, *words.format(**places).split(), "--out", out, "--steps", "1", "--labels", tmp_path / "labels")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert re.search(said, lines[0]), lines[0]
    assert not out.exists()


@pytest.mark.parametrize("wrong", ["cut", "gone", "empty"])
def test_a_broken_bag_is_told_before_missing_clip_weights(tmp_path, wrong):
    bag = tmp_path / "drive.mcap"
    if wrong == "cut":
        content = write_street(bag).read_bytes()
        bag.write_bytes(content[:40])
    if wrong == "empty":
        bag.write_bytes(b"")
    done = clip2scene("pretrain", bag, "--out", tmp_path / "x.safetensors", "--clip.checkpoint", tmp_path / "gone.safe")
    assert done.returncode == 1
    assert "drive.mcap" in done.stderr
    assert "gone.safe" not in done.stderr


def test_shards_of_the_same_names_in_two_folders_are_two_drives(shards, tmp_path):
    twice = ShardDataset([shards, shutil.copytree(shards, tmp_path / "copy")])
    assert len(twice) == 6
    assert len(set(twice.scenes)) == 2
    assert twice.key(0) == twice.key(3)
    assert (twice[0].scan.points == twice[3].scan.points).all()
