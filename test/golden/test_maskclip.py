"""CLIP2Scene's arithmetic against the numbers of its official code, on a small tower with its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.teacher.classify import denoise, smoothed
from clip2scene_ros.teacher.clip import Clip, ClipCard
from clip2scene_ros.teacher.dense import OFFICIAL, DenseClip
from clip2scene_ros.teacher.maps import ClassMap
from clip2scene_ros.teacher.openclip import open_clip

LIMIT = 1e-5


class Golden:
    def __init__(self) -> None:
        data = np.load(Path(__file__).parent / "maskclip_dense.npz")
        self.data = {name: torch.from_numpy(data[name]) for name in data.files}
        transformer = open_clip().transformer
        shape = {"image_size": 224, "patch_size": 16, "width": 32, "layers": 3, "heads": 4, "mlp_ratio": 4.0}
        # QuickGELU and epsilon 1e-5, as weights of OpenAI have it: the official arithmetic must replace both.
        visual = transformer.VisionTransformer(**shape, output_dim=16, act_layer=transformer.QuickGELU)
        visual.load_state_dict({name[2:]: value for name, value in self.data.items() if name.startswith("w/")})
        model = nn.Module()
        model.visual = visual.eval()
        self.clip = Clip(model, lambda sentences: torch.zeros(0), ClipCard("golden", {}))
        self.features, self.tokens, self.keys = DenseClip(self.clip, OFFICIAL).patches(self.data["img"])

    @property
    def logits(self) -> torch.Tensor:
        """Return (2, h, w, 5)."""
        return self.features @ self.data["text"].T


@pytest.fixture(scope="module")
def golden():
    try:
        return Golden()
    except BadTeacher as error:
        pytest.skip(f"open_clip cannot be imported (extra `clip`): {error.__cause__}")


def test_tokens_and_logits_equal_the_official_numbers(golden):
    data = golden.data
    torch.testing.assert_close(golden.tokens.permute(0, 3, 1, 2), data["last_v_tokens"], rtol=0, atol=LIMIT)
    torch.testing.assert_close(golden.logits.permute(0, 3, 1, 2), data["logits_patch"], rtol=0, atol=LIMIT)
    torch.testing.assert_close(golden.keys, data["key_tokens"], rtol=0, atol=LIMIT)


def test_the_arithmetic_that_the_weights_learned_with_is_another_one(golden):
    own = DenseClip(golden.clip, OFFICIAL.__class__(read_out="full", affinity="identity", mode="whole"))
    assert (own.patches(golden.data["img"])[0] @ golden.data["text"].T - golden.logits).abs().max() > 1e-3


def test_the_labels_of_every_pixel_equal_the_official_ones(golden):
    for scores, expected in zip(golden.logits, golden.data["pred_up"], strict=True):
        labels, _ = ClassMap(scores, 100.0, 5, (64, 112), (16.0, 16.0)).labels()
        assert (labels == expected.numpy()).mean() > 0.9995  # two of 7168 pixels may tie in the last bit


def test_refined_scores_equal_the_official_ones(golden):
    # Smoothing multiplies differences of logits by 100 and sums them over 28 patches.
    for i in range(2):
        scores, keys = golden.logits[i].flatten(0, 1), golden.keys[i]
        dropped = denoise(scores, 100.0, 0.5)
        plain, both = (smoothed((100 * s).softmax(-1), keys, 1.0, official=True) for s in (scores, dropped))
        for name, found, limit in (
            ("refined_pd_only", dropped, LIMIT),
            ("refined_ks_only", plain, 1e-4),
            ("refined_pd_ks", both, 1e-4),
        ):
            expected = golden.data[name][i].flatten(1).T
            torch.testing.assert_close(found, expected, rtol=0, atol=limit, msg=lambda text, name=name: name + text)
