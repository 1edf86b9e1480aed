"""One step of pretraining: the losses of docs/losses.md on the batches of docs/sweeps.md, and what pixels show."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from cast_street import CLASSES, streets
from lightning_fabric import Fabric
from small_street import write_clip
from test_consistency_together import CLASSES as COUNT
from test_consistency_together import DIM, EVERYTHING, make_batch, sketch

from clip2scene_ros.config import ClipConfig, NetworkConfig, TextConfig
from clip2scene_ros.errors import BadDataset
from clip2scene_ros.student.sparse.tensor import SparseTensor
from clip2scene_ros.teacher.maps import FeatureMap
from clip2scene_training.config import (
    OFFICIAL_LOSSES,
    ImageAugmentConfig,
    PretrainDataConfig,
    PretrainLossConfig,
    SemanticConfig,
)
from clip2scene_training.consistency import PixelProjection
from clip2scene_training.pixel_features import PairFeatures, dense_clip, features_at, make_maps
from clip2scene_training.pretrain_config import PretrainConfig
from clip2scene_training.pretrain_loader import PretrainSamples, pretrain_batches
from clip2scene_training.pretrain_samples import PretrainSample
from clip2scene_training.pretrain_step import key_frames_first, losses_of
from clip2scene_training.pseudo_labels import make_pseudo_labels
from clip2scene_training.student import TwoHeadedStudent
from clip2scene_training.switching import MovingAverage
from clip2scene_training.teachers import TeacherSettings

WEIGHTED = replace(
    EVERYTHING, semantic=SemanticConfig(form="gce", normalize=True, temperature=0.2, balance=0.5, lovasz=0.5)
)  # fmt: skip


def sample_of(batch) -> PretrainSample:
    """The batch of the page's test as the loader gives one."""
    pairs = len(batch.points)
    return PretrainSample(
        coords=batch.voxels.coords, feats=batch.voxels.feats, inverse=batch.rows, items=torch.tensor([[0, 0], [0, 1]]),
        points=torch.zeros(600, 3), sweep=torch.arange(600) // 300, cell=batch.cell, cells=int(batch.cell.max()) + 1,
        class_id=batch.classes, confidence=torch.ones(600), pair_point=batch.points,
        pair_view=torch.zeros(pairs, dtype=torch.int64), pair_pixel=torch.zeros(pairs, 2), pair_class=batch.labels,
        pair_confidence=torch.ones(pairs), images=(), views=1,
    )  # fmt: skip


@pytest.mark.parametrize("step", [2, 9])
@pytest.mark.parametrize("losses", [PretrainLossConfig(), WEIGHTED, OFFICIAL_LOSSES], ids=["paper", "all", "official"])
def test_the_trainer_counts_wrong_what_the_page_says(project, losses, step):
    torch.manual_seed(0)
    batch, space_time = make_batch(), losses.space_time
    config = PretrainConfig(
        network=NetworkConfig(embedding_dim=DIM, width=0.25), semantic=losses.semantic, space_time=space_time,
        switching=losses.switching, steps=12, seed=5,
    )  # fmt: skip
    projection = PixelProjection(batch.pixels.shape[1], DIM, space_time.learn_projection)
    student = TwoHeadedStudent(config.network, projection).eval()  # batch norm must not change between the two
    average = MovingAverage(student, 0.5)
    text = torch.nn.functional.normalize(torch.randn(COUNT, DIM), dim=1)
    weights = torch.tensor([1.0, 3.0, 0.5]) if losses.semantic.balance else None
    ema = average if losses.switching.prediction == "ema" else None
    for weight in average.parameters():
        weight.mul_(1.1)  # so that its predictions are its own
    found = losses_of(
        Fabric(accelerator="cpu"), student, ema, sample_of(batch), batch.pixels, text, weights, config, step
    )

    def heads(voxels: SparseTensor):
        return student.heads(voxels)

    expected = sketch(project)["losses_of"](
        heads, lambda voxels: average.module.heads(voxels), projection, batch, text, weights, losses, 5, step, 12
    )
    assert set(found) == set(expected)
    assert ("unpaired" in found) == (step == 9 and losses is WEIGHTED)
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-5), name


def test_the_key_frames_pairs_come_first_and_keep_what_is_theirs():
    batch = sample_of(make_batch())
    shuffled = torch.randperm(len(batch.pair_point), generator=torch.Generator().manual_seed(0))
    mixed = replace(
        batch, pair_point=batch.pair_point[shuffled], pair_class=batch.pair_class[shuffled],
        pair_pixel=shuffled[:, None].expand(-1, 2).float(),
    )  # fmt: skip
    first = key_frames_first(mixed)
    sweeps = first.sweep[first.pair_point]
    assert (sweeps.diff() >= 0).all()
    assert sweeps.unique().tolist() == [0, 1]
    place = first.pair_pixel[:, 0].long()
    assert torch.equal(first.pair_point, batch.pair_point[place])
    assert torch.equal(first.pair_class, batch.pair_class[place])
    assert sorted(place.tolist()) == list(range(len(place)))


def slow_bilinear(map_, row, column):
    """The features between the middles of patches, by hand; beyond the outermost middles these go on."""
    values = map_.features.double().numpy()
    y, x = ((p + 0.5) / cell - 0.5 for p, cell in zip((row, column), map_.cell_px, strict=True))
    y, x = (min(max(p, 0.0), n - 1.0) for p, n in zip((y, x), values.shape, strict=False))
    i, j = min(int(y), values.shape[0] - 2), min(int(x), values.shape[1] - 2)
    a, b = y - i, x - j
    mixed = (1 - a) * ((1 - b) * values[i, j] + b * values[i, j + 1])
    mixed = mixed + a * ((1 - b) * values[i + 1, j] + b * values[i + 1, j + 1])
    return mixed / np.linalg.norm(mixed)


def test_features_are_read_between_the_middles_of_patches():
    rng = np.random.default_rng(0)
    maps = [
        FeatureMap(torch.from_numpy(rng.normal(size=(3, 5, 6)).astype(np.float32)), (24, 40), (8.0, 8.0)),
        FeatureMap(torch.from_numpy(rng.normal(size=(4, 2, 6)).astype(np.float32)), (24, 40), (6.0, 20.0)),
    ]
    view = torch.from_numpy(rng.integers(0, 2, 50))
    pixel = torch.from_numpy(rng.uniform([-0.5, -0.5], [23.5, 39.5], (50, 2)).astype(np.float32))
    found = features_at(maps, view, pixel)
    expected = [slow_bilinear(maps[v], *p) for v, p in zip(view.tolist(), pixel.tolist(), strict=True)]
    np.testing.assert_allclose(found.numpy(), np.stack(expected), atol=1e-5)
    middle = features_at(maps[:1], torch.zeros(1, dtype=torch.int64), torch.tensor([[11.5, 19.5]]))
    torch.testing.assert_close(middle[0], torch.nn.functional.normalize(maps[0].features[1, 2], dim=0))
    assert features_at([], torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2)).shape[0] == 0


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return ClipConfig(checkpoint=str(write_clip(tmp_path_factory.mktemp("clip") / "small.safetensors")), device="cpu")


def test_kept_maps_give_what_looking_gives(clip, tmp_path):
    drives = streets(2, frames=3)
    settings = TeacherSettings("", CLASSES, clip, {}, TextConfig(cache=""))
    labelled = make_pseudo_labels(drives, lambda: settings.labeler(PretrainConfig().labeler), "small", tmp_path)
    kept = make_maps(drives, clip, {}, tmp_path / "maps")
    looked, read = PairFeatures(clip, {}), PairFeatures(clip, {})
    whole = PretrainDataConfig(images=ImageAugmentConfig(give="whole"))
    none = PretrainDataConfig(images=ImageAugmentConfig(give="none"))
    for own in (False, True):
        pairs = replace(whole.pairs, images="own" if own else "key")
        one, two = (
            list(islice(pretrain_batches(PretrainSamples(labelled, replace(c, pairs=pairs), 0, maps=m), 2), 3))
            for c, m in ((whole, None), (none, kept))
        )
        for with_images, with_maps in zip(one, two, strict=True):
            assert len(with_maps.maps) == with_maps.views == len(with_images.images)
            expected = looked.of(with_images)
            assert len(expected) > 500
            torch.testing.assert_close(read.of(with_maps), expected, atol=2e-3, rtol=0)
    drives.frames[4] = replace(drives.frames[4], views=drives.frames[3].views)
    with pytest.raises(BadDataset, match="of other images"):
        kept.of(4, drives.frames[4])
    next((tmp_path / "maps").glob("street0_0_000000*")).write_bytes(b"no maps")
    with pytest.raises(BadDataset, match="delete it"):
        kept.of(0, drives.frames[0])


def test_maps_are_made_once_and_dense_settings_reach_them(clip, tmp_path):
    drives = streets(1, frames=1)
    make_maps(drives, clip, {}, tmp_path)
    (file,) = tmp_path.iterdir()
    before = file.stat().st_mtime_ns
    make_maps(drives, clip, {}, tmp_path)
    assert file.stat().st_mtime_ns == before
    coarse = dense_clip(clip, {"short_side_px": 32}).look([drives.frames[0].views[0].image])[0]
    fine = dense_clip(clip, {}).look([drives.frames[0].views[0].image])[0]
    assert coarse.features.shape != fine.features.shape
