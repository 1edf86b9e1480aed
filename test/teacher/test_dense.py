"""Dense features: affinities, read-outs, image sizes, windows; against open_clip itself and slow oracles."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from clip2scene_ros.config import AFFINITIES, DenseConfig
from clip2scene_ros.errors import BadConfig, BadImage, BadTeacher
from clip2scene_ros.teacher.attention import attend, neighbourhood, relation_of, stretched
from clip2scene_ros.teacher.dense import DenseClip
from clip2scene_ros.teacher.tower import check_tower, middle_block

GRID = (3, 5)
PATCHES = 15
EQUIVARIANT = ("identity", "qq", "kk", "sclip", "clip_mid", "qk")


def pictures(*sizes: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def affinity(name: str, seed: int = 0, **values) -> torch.Tensor:
    """Return (T, T) the affinity itself: values that are unit vectors come out as its rows."""
    generator = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(1, 1, PATCHES + 1, 8, generator=generator) for _ in range(2))
    relation = relation_of(torch.randn(1, PATCHES, 8, generator=generator), 3.0, 1.2)
    v = torch.eye(PATCHES + 1)[None, None]
    return attend(q, k, v, GRID, DenseConfig(affinity=name, **values), relation)[0, 0]


@pytest.mark.parametrize("name", AFFINITIES)
def test_what_a_patch_hears_sums_to_one_and_for_sclip_to_two(name):
    sums = affinity(name).sum(1)
    torch.testing.assert_close(sums, torch.full_like(sums, 2.0 if name == "sclip" else 1.0))


def test_a_wide_neighbourhood_is_none():
    kk, wide = affinity("kk")[1:, 1:], affinity("naclip", sigma=1e6)[1:, 1:]
    torch.testing.assert_close(wide / wide.sum(1, keepdim=True), kk / kk.sum(1, keepdim=True))
    near = affinity("naclip", sigma=0.5)[1:, 1:]
    assert (near.diag() > wide.diag()).all()


def test_the_neighbourhood_is_measured_in_patches_of_a_grid_that_is_not_square():
    found = neighbourhood(GRID, 5.0)
    assert found[0].abs().max() == found[:, 0].abs().max() == 0
    for i in range(PATCHES):
        for j in range(PATCHES):
            (y, x), (row, column) = divmod(i, GRID[1]), divmod(j, GRID[1])
            expected = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 50)
            assert found[1 + i, 1 + j].item() == pytest.approx(expected, abs=1e-5)


def test_a_relation_without_sharpness_is_the_mean_and_a_sharp_one_the_patch_itself():
    tokens = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(relation_of(tokens, 0.0, 1.2), torch.full((2, 6, 6), 1 / 6))
    torch.testing.assert_close(relation_of(tokens, 1e4, 1.2), torch.eye(6).expand(2, 6, 6))
    alike = torch.ones(1, 6, 8)  # no cosine reaches 1.2 means
    torch.testing.assert_close(relation_of(alike, 3.0, 1.2), torch.eye(6)[None])


def test_own_attention_read_in_full_is_what_open_clip_computes(clip, settings):
    own = copy.deepcopy(clip.model.visual)
    own.output_tokens = True
    pixels = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    dense = DenseClip(clip, settings(read_out="full", affinity="qk"))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (clip.card.mean, clip.card.std))
    _, tokens = own((pixels - mean) / std)
    features, found, _ = dense.patches(pixels)
    torch.testing.assert_close(found.flatten(1, 2), tokens, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features.flatten(1, 2), functional.normalize(tokens @ own.proj, dim=-1))


@pytest.mark.parametrize("read_out", ["full", "reduced"])
@pytest.mark.parametrize("name", EQUIVARIANT)
def test_an_image_moved_by_a_patch_moves_the_map(clip, settings, name, read_out):
    blind = replace(clip, model=copy.deepcopy(clip.model))
    blind.model.visual.positional_embedding.zero_()
    (image,) = pictures((48, 80))
    dense = DenseClip(blind, settings(affinity=name, read_out=read_out, mode="whole"))
    before, after = (found.features for found in dense.look([image, np.roll(image, 16, axis=1)]))
    assert before.shape == (3, 5, 16)
    torch.testing.assert_close(torch.roll(before, 1, dims=1), after, rtol=0, atol=1e-5)
    assert (before - after).abs().max() > 0.05


def test_towers_that_put_the_sequence_first_agree(clip, settings):
    other = replace(clip, model=copy.deepcopy(clip.model))
    other.model.visual.transformer.batch_first = False
    for block in other.model.visual.transformer.resblocks:
        block.attn.batch_first = False
    images = pictures((48, 80), (48, 80))
    for a, b in zip(*(DenseClip(c, settings()).look(images) for c in (clip, other)), strict=True):
        torch.testing.assert_close(a.features, b.features)


@pytest.mark.parametrize("name", ["naclip", "clip_mid", "sclip"])
def test_half_precision_gives_the_same_classes(clip, settings, name):
    text = functional.normalize(torch.randn(10, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    images = [np.kron(image, np.ones((16, 16, 1), np.uint8)) for image in pictures((10, 15), (10, 15), (6, 6))]
    full, half = (DenseClip(c, settings(affinity=name)).look(images) for c in (clip, replace(clip, half=True)))
    scores, halves = (torch.cat([(seen.features @ text.T).flatten(0, 1) for seen in looks]) for looks in (full, half))
    best, second = scores.topk(2, dim=1).values.T
    decided = best - second > 0.01  # half precision has three digits: what is nearer is a tie
    assert decided.float().mean() > 0.9
    assert (scores.argmax(1) == halves.argmax(1))[decided].float().mean() > 0.99
    assert half[0].features.dtype == torch.float32
    assert 0 < (full[0].features - half[0].features).abs().mean() < 0.01


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (47, 49), (100, 63), (20, 200)])
@pytest.mark.parametrize("mode", ["windows", "whole"])
def test_images_of_any_size_have_a_unit_vector_for_every_patch(clip, settings, size, mode):
    (found,) = DenseClip(clip, settings(mode=mode, key_smoothing=1.0)).look(pictures(size))
    assert found.features.shape == (-(-size[0] // 16), -(-size[1] // 16), 16)
    assert found.size == size
    assert found.cell_px == (16.0, 16.0)
    for values in (found.features, found.keys):
        torch.testing.assert_close(values.norm(dim=-1), torch.ones(values.shape[:2]))


def test_images_are_scaled_to_their_short_side_and_cells_say_so(clip, settings):
    (found,) = DenseClip(clip, settings(short_side_px=64)).look(pictures((90, 160)))
    assert found.features.shape[:2] == (4, 8)  # 64 x 114, filled to 128
    assert found.cell_px == pytest.approx((90 / 4, 16 * 160 / 114))
    assert found.centres()[1, 2].tolist() == pytest.approx([2.5 * 16 * 160 / 114 - 0.5, 1.5 * 90 / 4 - 0.5])


def test_cameras_together_see_what_each_sees_alone(clip, settings):
    images = pictures((60, 90), (48, 48), (60, 90), (33, 70))
    dense = DenseClip(clip, settings(batch=3))
    for together, image in zip(dense.look(images), images, strict=True):
        torch.testing.assert_close(together.features, dense.look([image])[0].features)
    assert dense.look([]) == []


@pytest.mark.parametrize("blend", ["mean", "taper"])
def test_windows_are_blended_as_if_each_were_looked_at_alone(clip, settings, blend):
    (image,) = pictures((80, 112))
    dense = DenseClip(clip, settings(overlap=0.34, blend=blend, batch=4))
    total = torch.zeros(5, 7, 16)
    taper = torch.tensor([0.5, 1.0, 0.5]) if blend == "taper" else torch.ones(3)
    for row in (0, 2):  # windows of 3 patches, 2 patches apart, the last ones flush with the far edge
        for column in (0, 2, 4):
            crop = image[16 * row : 16 * row + 48, 16 * column : 16 * column + 48]
            seen = dense.patches(torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255)[0][0]
            total[row : row + 3, column : column + 3] += seen * torch.outer(taper, taper)[..., None]
    torch.testing.assert_close(dense.look([image])[0].features, functional.normalize(total, dim=-1))


def test_several_scales_are_averaged_on_the_finest_grid(clip, settings):
    (image,) = pictures((48, 96))
    one, two, both = (DenseClip(clip, settings(scales=s)).look([image])[0] for s in ("1", "2", "1, 2"))
    assert both.features.shape == two.features.shape == (6, 12, 16)
    # 2 x 2 fine cells lie around the middle of a coarse one: their mean is the coarse cell's own value, far from edges.
    coarse = functional.interpolate(one.features.permute(2, 0, 1)[None], (6, 12), mode="bilinear", align_corners=False)[
        0
    ].permute(1, 2, 0)
    torch.testing.assert_close(both.features, functional.normalize(two.features + coarse, dim=-1))
    for bad in ("", "1,,2", "x", "0", "nan"):
        with pytest.raises(BadConfig, match="scales"):
            DenseClip(clip, settings(scales=bad))


def test_another_networks_features_relate_the_patches(clip, settings):
    (image,) = pictures((48, 48))
    config = settings(affinity="external", beta=0.0, gamma=1e4)
    asked = []

    def itself(windows: torch.Tensor) -> torch.Tensor:  # every patch like itself only, on a grid twice as fine
        asked.append((tuple(windows.shape), float(windows.min()), float(windows.max())))
        return torch.eye(9).view(1, 9, 3, 3).repeat_interleave(2, 2).repeat_interleave(2, 3)

    (found,) = DenseClip(clip, config, itself).look([image])
    (identity,) = DenseClip(clip, settings(affinity="identity")).look([image])
    torch.testing.assert_close(found.features, identity.features)
    assert asked[0][0] == (1, 3, 48, 48)
    assert 0 <= asked[0][1] < asked[0][2] <= 1
    with pytest.raises(BadTeacher, match="none were given"):
        DenseClip(clip, config).look([image])


def test_position_embeddings_are_stretched_not_moved():
    positions = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    assert stretched(positions, (3, 3), (3, 3)) is positions
    wide = stretched(positions, (3, 3), (3, 9))
    torch.testing.assert_close(wide[0], positions[0])
    places = wide[1:].view(3, 9, 4)
    torch.testing.assert_close(places[:, 4], positions[1:].view(3, 3, 4)[:, 1])  # the middle column stays the middle


def test_the_middle_block_is_the_ninth_of_twelve():
    assert [middle_block(n) for n in (12, 4, 2, 1)] == [9, 3, 1, 1]


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_image_is_refused(clip, settings, image):
    with pytest.raises(BadImage, match="uint8 RGB"):
        DenseClip(clip, settings()).look([image])


def test_a_window_smaller_than_a_patch_is_refused(clip, settings):
    with pytest.raises(BadConfig, match="window_px"):
        DenseClip(clip, settings(window_px=15)).look(pictures((48, 48)))


def test_towers_without_a_last_attention_are_refused(openclip):
    pooled = {"layers": 1, "width": 32, "head_width": 8, "image_size": 32, "patch_size": 16, "attentional_pool": True}
    vit = openclip.CLIP(16, pooled, {"width": 32, "heads": 4, "layers": 1})
    for tower in (vit.visual, nn.Linear(2, 2)):
        with pytest.raises(BadTeacher, match=type(tower).__name__) as caught:
            check_tower(tower)
        assert caught.value.reason == "tower"
