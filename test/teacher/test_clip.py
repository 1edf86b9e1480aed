"""Where a CLIP comes from: by name, from a file, with the activation it learned with; and what is said when not."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clip2scene_ros.config import ClipConfig, DenseConfig
from clip2scene_ros.errors import BadCheckpoint, BadTeacher
from clip2scene_ros.teacher import clip as module
from clip2scene_ros.teacher.clip import OPENAI_MEAN, load_clip, save_clip
from clip2scene_ros.teacher.dense import DenseClip
from clip2scene_ros.teacher.tokenizer import OTHER, PADDING, START, WordTokenizer

CPU = ClipConfig(device="cpu")


def test_openai_weights_get_quickgelu_and_laion_weights_do_not(openclip):
    quick = {
        tag: module._architecture(replace(CPU, pretrained=tag))["quick_gelu"] for tag in ("openai", "laion2b_s34b_b88k")
    }
    assert quick == {"openai": True, "laion2b_s34b_b88k": False}
    norms = [m for m in module.build_clip({**SMALL, "quick_gelu": True}).modules() if isinstance(m, torch.nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-5}


SMALL = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 16, "layers": 2, "head_width": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
}


def test_a_saved_model_comes_back_with_all_that_belongs_to_it(clip, tmp_path):
    path = tmp_path / "small.safetensors"
    card = replace(clip.card, dense=DenseConfig(read_out="full", affinity="sclip", scales="0.5, 1"), notice="a test")
    save_clip(path, clip.model, card)
    again = load_clip(replace(CPU, checkpoint=str(path)))
    assert again.card == card
    assert again.text_sha256 == clip.text_sha256
    assert DenseClip(again).config == card.dense
    assert not any(p.requires_grad for p in again.model.parameters())
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    mine, theirs = (DenseClip(c, card.dense).look([image])[0].features for c in (clip, again))
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_weights_saved_in_half_compute_in_full(clip, tmp_path):
    path = tmp_path / "half.safetensors"
    save_clip(path, module.build_clip(clip.card.architecture).half(), clip.card)
    assert {p.dtype for p in load_clip(replace(CPU, checkpoint=str(path))).model.parameters()} == {torch.float32}


def test_a_file_without_a_card_is_what_model_and_tag_say(openclip, tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_file({name: t.contiguous() for name, t in module.build_clip(SMALL).state_dict().items()}, path)
    monkeypatch.setattr(openclip, "get_model_config", lambda name: {**SMALL})
    loaded = load_clip(replace(CPU, checkpoint=str(path)))
    assert loaded.card.architecture["quick_gelu"] is True
    assert loaded.card.mean == OPENAI_MEAN
    assert type(loaded.model.visual.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"


@pytest.mark.parametrize(
    ("settings", "reason", "text"),
    [
        ({"model": "ViT-B-61"}, "name", "ViT-B-16"),
        ({"pretrained": "moon"}, "pretrained", "it has: .*openai"),
        ({"model": "coca_ViT-B-32", "random_weights": True}, "tower", "coca_ViT-B-32"),
    ],
)
def test_names_that_do_not_exist_list_those_that_do(openclip, settings, reason, text):
    with pytest.raises(BadTeacher, match=text) as caught:
        load_clip(replace(CPU, **settings))
    assert caught.value.reason == reason


def test_weights_that_cannot_be_had_are_named_with_their_place(openclip, monkeypatch):
    def offline(*args, **kwargs):
        raise RuntimeError("Failed to download weights for tag 'openai': no network")

    monkeypatch.setattr(openclip, "create_model", offline)
    with pytest.raises(BadTeacher, match=r"ViT-B-16 are not on this machine .*no network.* set `clip\.checkpoint`"):
        load_clip(CPU)


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (b"PK\x03\x04" + b"\0" * 100, BadCheckpoint, "pickle"),
        (b"\x08\0\0\0\0\0\0\0nonsense", BadCheckpoint, "format"),
        (None, BadCheckpoint, "missing"),
        ("other", BadTeacher, "fit"),
        ("card", BadTeacher, "card"),
        ("nan", BadTeacher, "not_finite"),
        ("student", BadTeacher, "student"),
    ],
)
def test_files_that_are_no_model_are_refused_by_reason(clip, tmp_path, content, error, reason):
    path = tmp_path / "bad.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "other":
        save_clip(path, torch.nn.Linear(2, 2), clip.card)
    elif content == "student":
        save_file({"x": torch.zeros(1)}, path, {"clip2scene": "{}"})
    elif content == "card":
        save_file({"x": torch.zeros(1)}, path, {module.METADATA_KEY: '{"format": 1, "dense": {"sigma": "wide"}}'})
    elif content == "nan":
        state = {**clip.model.state_dict()}
        broken = module.build_clip(clip.card.architecture)
        broken.load_state_dict(state | {"logit_scale": torch.tensor(torch.nan)})
        save_clip(path, broken, clip.card)
    with pytest.raises(error) as caught:
        load_clip(replace(CPU, checkpoint=str(path)))
    assert caught.value.reason == reason


def test_without_open_clip_the_error_says_which_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)  # as if it were not installed
    with pytest.raises(BadTeacher, match=r"pip install 'clip2scene_ros\[clip\]'") as caught:
        load_clip(replace(CPU, random_weights=True))
    assert caught.value.reason == "no_open_clip"


def test_the_end_token_is_the_highest_and_long_sentences_are_cut():
    tokenizer = WordTokenizer(("a", "red", "car"), 5)
    assert tokenizer(["a red car", "a RED, red lorry!"]).tolist() == [[START, 3, 4, 5, 6], [START, 3, 4, 4, 6]]
    assert tokenizer(["lorry"]).tolist() == [[START, OTHER, 6, PADDING, PADDING]]
    assert tokenizer.vocab_size == 7
    assert tokenizer.unknown("A lorry-car") == ("lorry",)
