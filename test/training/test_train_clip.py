"""A small CLIP learns which caption belongs to which picture, repeats itself, resumes, and is open_clip's own."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clip2scene_ros.config import ClipConfig
from clip2scene_ros.errors import BadCheckpoint, BadConfig, BadDataset, BadTeacher
from clip2scene_ros.teacher.clip import load_clip
from clip2scene_ros.teacher.openclip import open_clip
from clip2scene_ros.teacher.tokenizer import OTHER, WordTokenizer
from clip2scene_training import clip_options
from clip2scene_training import train_clip as module
from clip2scene_training.clip_towers import architecture
from clip2scene_training.config import TowersConfig, TrainClipConfig
from clip2scene_training.photos.captions import vocabulary
from clip2scene_training.running import Diverged
from clip2scene_training.train_clip import batch_of, train_clip, unheard

COLORS = {"red car": (210, 30, 30), "green bush": (40, 160, 40), "blue sky": (60, 90, 230), "white wall": (230,) * 3}


class Patches:
    """Pictures of one colour each, and what is of that colour."""

    def __init__(self, count, seed=0):
        rng = np.random.default_rng(seed)
        names = list(COLORS)
        kinds = rng.integers(len(names), size=count)
        noise = rng.normal(0, 12, (count, 48, 48, 3))
        self.images = np.clip(np.array([COLORS[names[k]] for k in kinds])[:, None, None] + noise, 0, 255).astype(
            np.uint8
        )
        self.captions = [f"a photo of a {names[k]}" for k in kinds]

    def __len__(self):
        return len(self.images)

    def load(self):
        return self.images, self.captions

    def sha256(self):
        return "0" * 64


@pytest.fixture(scope="module")
def config():
    towers = TowersConfig(window_px=32, width=4, blocks="1, 1, 1, 1", text_width=32, text_layers=1, embedding=16)
    return TrainClipConfig(towers=towers, steps=6, batch_size=8, save_every=2, eval_every=3, threads=1)


@pytest.fixture(autouse=True)
def needs_open_clip():
    try:
        open_clip()
    except BadTeacher as error:
        pytest.skip(f"open_clip cannot be imported (extra `clip`): {error.__cause__}")


def equal(a, b):
    first, second = load_file(a), load_file(b)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_it_learns_which_words_belong_to_which_pictures(config, tmp_path):
    out = tmp_path / "clip.safetensors"
    longer = replace(config, steps=120, save_every=120, eval_every=0, learning_rate=2e-3, light=0.05, tint=0.02)
    report = train_clip(Patches(64), Patches(32, seed=1), longer, out, command="the command")
    assert report["curve"][-1]["found"] > 0.9
    clip = load_clip(ClipConfig(checkpoint=str(out), device="cpu"))
    tokens = clip.tokenize([f"a photo of a {name}" for name in COLORS])
    pixels = torch.stack([torch.tensor(rgb).view(3, 1, 1).expand(3, 32, 32) / 255 for rgb in COLORS.values()])
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (clip.card.mean, clip.card.std))
    with torch.no_grad():
        images = clip.model.encode_image((pixels - mean) / std, normalize=True)
        texts = clip.model.encode_text(tokens, normalize=True)
    assert (images @ texts.T).argmax(1).tolist() == [0, 1, 2, 3]
    assert json.loads((tmp_path / "clip.training" / "report.json").read_text())["command"] == "the command"


def test_the_file_is_open_clips_in_half_precision(config, tmp_path):
    out = tmp_path / "clip.safetensors"
    report = train_clip(Patches(16), None, replace(config, steps=1), out)
    tensors = load_file(out)
    assert {t.dtype for t in tensors.values() if t.is_floating_point()} == {torch.float16}
    card = load_clip(ClipConfig(checkpoint=str(out), device="cpu")).card
    model = open_clip().CLIP(**card.architecture)
    assert model.load_state_dict(tensors).missing_keys == []
    assert report["parameters"] == sum(p.numel() for p in model.parameters())
    assert report["bytes"] == out.stat().st_size
    assert "without point or pixel labels" in card.notice
    assert card.vocabulary == tuple(vocabulary())


def test_the_default_fits_into_eight_megabytes():
    config = TrainClipConfig()
    words = WordTokenizer(vocabulary(), config.towers.context)
    model = open_clip().CLIP(**architecture(config.towers, words))
    assert 2 * sum(p.numel() for p in model.parameters()) < 7_900_000


def test_equal_seeds_give_equal_bits_and_others_do_not(config, tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        train_clip(Patches(16), None, replace(config, steps=2, seed=seed), path)
    assert equal(paths[0], paths[1])
    assert not equal(paths[0], paths[2])


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(config, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    expected = train_clip(Patches(24), Patches(8, seed=1), config, whole)
    step, kept = module._Run.step, []

    def interrupted(self, pairs, number):
        if number == 5 and not kept:
            kept.append(broken.read_bytes())
            raise KeyboardInterrupt
        return step(self, pairs, number)

    monkeypatch.setattr(module._Run, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_clip(Patches(24), Patches(8, seed=1), config, broken)
    assert broken.read_bytes() == kept[0]  # the last good one
    report = train_clip(Patches(24), Patches(8, seed=1), config, broken, resume=True)
    assert equal(whole, broken)
    assert report["curve"] == expected["curve"]


def test_a_run_is_only_resumed_with_its_own_settings(config, tmp_path):
    out = tmp_path / "clip.safetensors"
    train_clip(Patches(16), None, replace(config, steps=2), out)
    with pytest.raises(BadCheckpoint, match="learning_rate was"):
        train_clip(Patches(16), None, replace(config, steps=2, learning_rate=0.5), out, resume=True)


def test_a_loss_that_is_no_number_stops_before_it_is_saved(config, tmp_path, monkeypatch):
    out = tmp_path / "clip.safetensors"
    loss, calls = module.contrastive_loss, []

    def explode(*args):
        calls.append(1)  # twice a step: for the whole and for the cells
        return loss(*args) * (float("nan") if len(calls) == 7 else 1.0)

    monkeypatch.setattr(module, "contrastive_loss", explode)
    with pytest.raises(Diverged, match="step 3"):
        train_clip(Patches(16), None, replace(config, eval_every=0), out)
    assert all(torch.isfinite(t).all() for t in load_file(out).values())


def test_too_few_photos_and_a_folder_as_output_are_refused(config, tmp_path):
    with pytest.raises(BadDataset, match="at least 8"):
        train_clip(Patches(7), None, config, tmp_path / "clip.safetensors")
    with pytest.raises(BadConfig, match="is a folder"):
        train_clip(Patches(8), None, config, tmp_path)


def test_every_photo_is_seen_once_an_epoch():
    seen = np.concatenate([batch_of(12, 4, step, seed=3) for step in range(3)])
    assert sorted(seen.tolist()) == list(range(12))
    assert not np.array_equal(seen, np.concatenate([batch_of(12, 4, step, seed=3) for step in range(3, 6)]))


def test_only_words_are_lost_never_start_end_or_padding():
    words = WordTokenizer(["a", "photo", "of", "car"], 8)
    tokens = words(["a photo of car"] * 200)
    lost = unheard(tokens, 0.5, np.random.default_rng(0))
    assert torch.equal(lost[:, 0], tokens[:, 0])
    assert torch.equal(lost[:, 5:], tokens[:, 5:])
    assert (lost[:, 1:5] == OTHER).float().mean().item() == pytest.approx(0.5, abs=0.06)
    assert torch.equal(unheard(tokens, 0.0, np.random.default_rng(0)), tokens)


def test_the_command_refuses_to_replace_a_model_unasked(tmp_path):
    out = tmp_path / "clip.safetensors"
    out.write_bytes(b"kept")
    with pytest.raises(BadConfig, match="--overwrite"):
        clip_options.main(["--out", str(out)])
    with pytest.raises(BadConfig, match=r"photo\.wrong"):
        clip_options.main(["--out", str(out), "--photo.wrong", "2"])
    with pytest.raises(BadConfig, match="cpu, cuda or cuda:N, but got 'gpu'"):
        clip_options.main(["--out", str(tmp_path / "new.safetensors"), "--device", "gpu", "--cache", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["clip.safetensors"]
    assert out.read_bytes() == b"kept"


def test_the_command_refuses_to_take_photos_with_nobody(tmp_path):
    with pytest.raises(BadConfig, match=r"--workers of at least 1, but got -1"):
        clip_options.main(["--out", str(tmp_path / "clip.safetensors"), "--workers", "-1"])
