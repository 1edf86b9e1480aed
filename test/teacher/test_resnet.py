"""CLIP's convolutional towers, read cell by cell, against open_clip's own forward pass and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from clip2scene_ros.config import AFFINITIES, DenseConfig
from clip2scene_ros.teacher.clip import Clip, ClipCard, build_clip
from clip2scene_ros.teacher.dense import DenseClip
from clip2scene_ros.teacher.resnet import embedded, heads_of, is_resnet

ARCHITECTURE = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 96, "layers": [1, 2, 1, 1], "width": 8, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 14, "width": 32, "heads": 4, "layers": 1},
}


@pytest.fixture(scope="module")
def resnet(openclip) -> Clip:
    """Return a CLIP with a ModifiedResNet that has learned at 96 px, so at 3 x 3 cells."""
    model = build_clip(ARCHITECTURE).eval().requires_grad_(requires_grad=False)
    generator = torch.Generator().manual_seed(0)
    for module in model.visual.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # fresh ones would hide what they do
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.weight.uniform_(0.5, 1.5, generator=generator)
    for part in (model.visual.attnpool.q_proj, model.visual.attnpool.k_proj):
        part.weight.mul_(20)  # so that attention is far from even
    return Clip(
        model, lambda sentences: torch.zeros(len(sentences), 12, dtype=torch.int64), ClipCard("rn", ARCHITECTURE)
    )


def read(clip: Clip, **values) -> DenseClip:
    return DenseClip(clip, DenseConfig(**{"short_side_px": 0, **values}))


def test_the_first_row_of_its_own_attention_is_open_clips_image_vector(resnet):
    pixels = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    visual = resnet.model.visual
    cells = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(pixels)))))
    q, k, v = heads_of(visual.attnpool, embedded(visual.attnpool, cells))
    mixed = functional.scaled_dot_product_attention(q, k, v)
    found = visual.attnpool.c_proj(mixed.transpose(1, 2).flatten(2))[:, 0]
    torch.testing.assert_close(found, visual(pixels), rtol=1e-4, atol=1e-6)


def test_identity_is_each_cell_through_value_and_output_projection(resnet):
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    seen = read(resnet, affinity="identity").look([image])[0]
    visual, card = resnet.model.visual, resnet.card
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (card.mean, card.std))
    pixels = ((torch.from_numpy(image).permute(2, 0, 1).float() / 255 - mean) / std)[None]
    cells = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(pixels)))))
    pool = visual.attnpool
    for row in range(3):
        for column in range(3):
            x = cells[0, :, row, column] + pool.positional_embedding[1 + 3 * row + column]
            vector = functional.normalize(pool.c_proj(pool.v_proj(x)), dim=0)
            torch.testing.assert_close(seen.features[row, column], vector, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("affinity", AFFINITIES)
@pytest.mark.parametrize("mode", ["whole", "windows"])
def test_any_image_gets_a_unit_vector_every_32_pixels(resnet, affinity, mode):
    image = np.random.default_rng(0).integers(0, 256, (130, 200, 3), dtype=np.uint8)
    dense = DenseClip(
        resnet,
        DenseConfig(short_side_px=0, affinity=affinity, mode=mode),
        external=lambda pixels: pixels[:, :, ::8, ::8],
    )
    seen = dense.look([image])[0]
    assert seen.features.shape == (5, 7, 16)
    torch.testing.assert_close(seen.features.norm(dim=-1), torch.ones(5, 7))
    assert seen.cell_px == (32.0, 32.0)


def test_full_and_reduced_are_the_same(resnet):
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    full, reduced = (read(resnet, read_out=name).look([image])[0].features for name in ("full", "reduced"))
    torch.testing.assert_close(full, reduced, rtol=0, atol=0)


def test_affinities_differ(resnet):
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    found = [read(resnet, affinity=name).look([image])[0].features for name in ("qk", "identity", "qq", "kk", "naclip")]
    for i, one in enumerate(found):
        for other in found[:i]:
            assert (one - other).abs().max() > 1e-3


def test_open_clips_own_resnets_are_known_and_vits_are_none(openclip, clip):
    config = openclip.get_model_config("RN50")
    with torch.device("meta"):
        model = openclip.CLIP(**config)
    assert is_resnet(model.visual)
    assert not is_resnet(clip.model.visual)
