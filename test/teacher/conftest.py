"""A small CLIP of open_clip's own classes with random weights: nothing is fetched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from clip2scene_ros.config import DenseConfig
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.teacher.clip import Clip, ClipCard, build_clip
from clip2scene_ros.teacher.openclip import open_clip
from clip2scene_ros.teacher.tokenizer import WordTokenizer

VOCABULARY = ("a", "photo", "of", "the", "car", "van", "road", "street", "sky", "person")
ARCHITECTURE = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 48, "patch_size": 16, "width": 32, "layers": 4, "head_width": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 14, "width": 32, "heads": 4, "layers": 2},
}


@pytest.fixture(scope="session")
def openclip():
    """Return the module open_clip; tests that need it are skipped, counted, where it is not installed."""
    try:
        return open_clip()
    except BadTeacher as error:
        pytest.skip(f"open_clip cannot be imported (extra `clip`): {error.__cause__}")


@pytest.fixture(scope="session")
def clip(openclip) -> Clip:
    """Return a CLIP of 4 blocks, 16-pixel patches and windows of 3 x 3 of them."""
    card = ClipCard("small", ARCHITECTURE, dense=DenseConfig(short_side_px=0), vocabulary=VOCABULARY)
    model = build_clip(ARCHITECTURE).eval()
    with torch.no_grad():
        for block in model.visual.transformer.resblocks:  # so that attention is far from even
            block.attn.in_proj_weight.mul_(6)
            torch.nn.init.normal_(block.attn.in_proj_bias)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return Clip(model, WordTokenizer(VOCABULARY, 12), card)


@pytest.fixture
def settings():
    """Return a function that makes settings for the small CLIP."""
    return lambda **values: replace(DenseConfig(short_side_px=0), **values)
