"""Every point comes out, in order, unknown where it must be; classes are data; equal scans give equal bits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_ros.classes import ClassSet, SemanticClass
from clip2scene_ros.config import NetworkConfig, SegmenterConfig
from clip2scene_ros.errors import BadCheckpoint, BadClassSet, BadConfig
from clip2scene_ros.frame import Scan
from clip2scene_ros.student.checkpoint import CheckpointCard, save_checkpoint
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.points import voxel_features, within_range
from clip2scene_ros.student.scoring import decide
from clip2scene_ros.student.segmenter import Segmenter, choose_device
from clip2scene_ros.student.sparse.tensor import SparseTensor, collate
from clip2scene_ros.student.voxelization import voxelize

NAMES = ("road", "car", "tree", "pole")
CONFIG = SegmenterConfig(device="cpu")
NETWORK = NetworkConfig(width=0.25, embedding_dim=8)


def classes(names=NAMES):
    return ClassSet("four", tuple(SemanticClass(n, (n,), (i, 2 * i, 3 * i)) for i, n in enumerate(names)))


def street(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.uniform((-30, -30, -2), (30, 30, 4), (n, 3)).astype(np.float32)
    return Scan(points, rng.uniform(0, 1, n).astype(np.float32))


def untrained(config=CONFIG, names=NAMES, **card_changes):
    torch.manual_seed(0)
    network = build_network(NETWORK)
    for buffer_name, buffer in network.named_buffers():  # norms that are not the identity, so that folding is tested
        if buffer_name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    voxels = voxelize(street().points, NETWORK.voxel_size_m)
    with torch.no_grad():  # centred, or the bias of an untrained head gives every voxel the same class
        features = network.eval()(collate([voxels.coords], [voxel_features(street().intensity, voxels, 1)]))
        network.head.bias -= features.mean(0)
    vectors = torch.nn.functional.normalize(torch.randn(4, 8), dim=1)[: len(names)]
    card = CheckpointCard(NETWORK, classes(names), vectors, notice="a test, not for the road", **card_changes)
    return Segmenter(network, card, card.class_set, vectors, config), network, card


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("class_id", "probability", "entropy"))


def test_labels_are_those_of_the_method_written_out_point_by_point():
    segmenter, network, card = untrained(temperature=0.2)
    scan = street(400)
    scan.points[7] = np.nan
    scan.points[8] = (300, 0, 0)
    scan.points[9] = (0.1, 0, 0)
    result = segmenter.segment(scan)
    network.eval()
    cells = {}
    for i, point in enumerate(scan.points):
        if np.isfinite(point).all() and 0.5 <= np.linalg.norm(point) <= 80:
            cells.setdefault(tuple(math.floor(float(v) / 0.2) for v in point), []).append(i)
    coords = sorted(cells)
    tensor = SparseTensor(
        torch.tensor([[scan.intensity[cells[c][0]]] for c in coords]),
        torch.tensor([(0, *c) for c in coords], dtype=torch.int32),
    )
    with torch.no_grad():
        features = network(tensor)
    expected = {i: (255, 0.0, 1.0) for i in (7, 8, 9)}
    for row, c in enumerate(coords):
        f = features[row].double().numpy()
        scores = [
            float(f @ v / np.linalg.norm(f) / np.linalg.norm(v)) / 0.2 for v in card.class_vectors.double().numpy()
        ]
        p = np.exp(scores) / np.exp(scores).sum()
        for i in cells[c]:
            expected[i] = (int(p.argmax()), p.max(), -(p * np.log(p)).sum() / math.log(4))
    assert len(expected) == 400
    order = [expected[i] for i in range(400)]
    assert result.class_id.tolist() == [e[0] for e in order]
    np.testing.assert_allclose(result.probability, [e[1] for e in order], atol=2e-5)
    np.testing.assert_allclose(result.entropy, [e[2] for e in order], atol=2e-5)
    assert len(set(result.class_id.tolist())) > 2


def test_dtypes_and_stage_times():
    result = untrained()[0].segment(street())
    assert (result.class_id.dtype, result.probability.dtype, result.entropy.dtype) == (np.uint8, np.float32, np.float32)
    assert list(result.processing_ms) == ["preprocess", "inference", "postprocess", "total"]
    assert sum(result.processing_ms.values()) == pytest.approx(2 * result.processing_ms["total"], abs=1.0)


def test_two_runs_are_equal_bit_for_bit():
    first, second = untrained()[0], untrained()[0]
    a = first.segment(street())
    assert same(a, first.segment(street()))
    assert same(a, second.segment(street()))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -3e38])
def test_bad_points_come_out_unknown_and_leave_the_others_alone(bad):
    segmenter = untrained()[0]
    clean = street()
    dirty_points = np.insert(clean.points, [0, 500, 3000], 0, axis=0)
    where = np.flatnonzero(~dirty_points.any(axis=1))
    dirty_points[where, [0, 1, 2]] = bad
    dirty = Scan(dirty_points, np.insert(clean.intensity, [0, 500, 3000], 0.5))
    result, expected = segmenter.segment(dirty), segmenter.segment(clean)
    assert result.class_id[where].tolist() == [255] * 3
    assert result.probability[where].tolist() == [0.0] * 3
    assert result.entropy[where].tolist() == [1.0] * 3
    kept = np.delete(np.arange(len(dirty)), where)
    assert np.array_equal(result.class_id[kept], expected.class_id)
    assert np.array_equal(result.probability[kept], expected.probability)


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 3)),
        np.full((1, 3), 5.0),
        np.full((200, 3), 5.0),
        np.full((9, 3), np.nan),
        np.full((4, 3), 1e6),
        np.array([[5.0, 5, 5], [np.nan, 0, 0]]),
    ],
    ids=["none", "one", "one voxel", "all invalid", "all far", "one valid"],
)
def test_small_scans_work(points):
    n = len(points)
    result = untrained()[0].segment(Scan(points.astype(np.float32), np.ones(n, np.float32)))
    assert len(result.class_id) == len(result.probability) == len(result.entropy) == n
    valid = np.isfinite(points).all(axis=1) & (np.abs(points) < 80).all(axis=1)
    assert np.array_equal(result.class_id < 4, valid)
    assert np.array_equal(result.class_id == 255, ~valid)


def test_intensity_that_is_not_finite_counts_as_zero():
    scan = street()
    scan.intensity[::3] = 0
    broken = replace(scan, intensity=np.where(np.arange(len(scan)) % 3 == 0, np.nan, scan.intensity))
    segmenter = untrained()[0]
    assert same(segmenter.segment(scan), segmenter.segment(broken))


def test_order_of_points_does_not_change_their_labels():
    # One point a voxel: else the first of several would lend its intensity.
    scan = street()
    first = voxelize(scan.points, 0.2).first.numpy()
    scan = Scan(scan.points[first], scan.intensity[first])
    shuffled = np.random.default_rng(1).permutation(len(scan))
    segmenter = untrained()[0]
    a, b = segmenter.segment(scan), segmenter.segment(Scan(scan.points[shuffled], scan.intensity[shuffled]))
    assert np.array_equal(a.class_id[shuffled], b.class_id)


def test_min_probability_hides_the_unsure_and_may_change_between_scans():
    segmenter = untrained()[0]
    before = segmenter.segment(street())
    threshold = float(np.median(before.probability))
    segmenter.config = replace(segmenter.config, min_probability=threshold)
    after = segmenter.segment(street())
    sure = before.probability >= threshold
    assert 0.3 < sure.mean() < 0.7
    assert np.array_equal(after.class_id, np.where(sure, before.class_id, 255))
    assert np.array_equal(after.probability, np.where(sure, before.probability, 0))
    assert np.array_equal(after.entropy, np.where(sure, before.entropy, 1))


def test_one_class_is_certain():
    result = untrained(names=NAMES[:1])[0].segment(street())
    assert set(result.class_id) == {0}
    assert set(result.probability) == {1.0}
    assert set(result.entropy) == {0.0}


def test_scores_that_are_no_numbers_come_out_unknown():
    scores = torch.tensor([[0.0, float("nan")], [5.0, 0.0]])
    class_id, probability, entropy = decide(scores, 0.0)
    assert class_id.tolist() == [255, 0]
    assert (probability[0], entropy[0]) == (0.0, 1.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), min_size=1, max_size=8))
def test_decisions_are_distributions(rows):
    class_id, probability, entropy = decide(torch.tensor(rows), 0.0)
    for row, c, p, h in zip(rows, class_id, probability, entropy, strict=True):
        exact = np.exp(np.array(row) - max(row))
        exact /= exact.sum()
        assert row[c] == pytest.approx(max(row), abs=1e-6)
        assert p == pytest.approx(exact.max(), abs=1e-5)
        assert h == pytest.approx(-(exact * np.log(np.maximum(exact, 1e-300))).sum() / math.log(3), abs=1e-5)
        assert 0 <= h <= 1


def test_range_is_inclusive_and_in_order():
    points = np.array([[0.5, 0, 0], [0.49, 0, 0], [0, 80, 0], [0, 80.1, 0], [1, 1, 1]], np.float32)
    assert within_range(points, 0.5, 80.0).tolist() == [0, 2, 4]


@pytest.fixture
def checkpoint(tmp_path):
    _, network, card = untrained()
    path = tmp_path / "four.safetensors"
    save_checkpoint(path, network.state_dict(), card)
    return path


def test_a_checkpoint_gives_the_labels_of_the_network_it_was_saved_from(checkpoint):
    loaded = Segmenter.load(replace(CONFIG, checkpoint=str(checkpoint)))
    assert same(loaded.segment(street()), untrained()[0].segment(street()))


def test_describe_names_file_hash_network_classes_and_notice(checkpoint):
    text = Segmenter.load(replace(CONFIG, checkpoint=str(checkpoint))).describe()
    assert text.startswith("four.safetensors (sha256 ")
    assert text.endswith("minkunet tiny, 4 classes of four; a test, not for the road")
    assert "\n" not in text


def write_classes(path, names):
    path.write_text("name: chosen\nclasses:\n" + "".join(f"  - {{name: {n}}}\n" for n in names), encoding="utf-8")
    return str(path)


def test_another_order_of_the_classes_renumbers_the_same_labels(checkpoint, tmp_path):
    turned = ("pole", "tree", "car", "road")
    chosen = replace(CONFIG, checkpoint=str(checkpoint), class_set=write_classes(tmp_path / "c.yaml", turned))
    a = Segmenter.load(replace(CONFIG, checkpoint=str(checkpoint))).segment(street())
    segmenter = Segmenter.load(chosen)
    b = segmenter.segment(street())
    assert segmenter.class_set.names == turned
    assert np.array_equal(3 - a.class_id, b.class_id)
    np.testing.assert_allclose(a.probability, b.probability, atol=1e-6)


def test_fewer_classes_share_the_probability_of_the_others(checkpoint, tmp_path):
    chosen = write_classes(tmp_path / "c.yaml", ("tree", "car"))
    result = Segmenter.load(replace(CONFIG, checkpoint=str(checkpoint), class_set=chosen)).segment(street())
    assert set(result.class_id) <= {0, 1}
    assert result.probability.min() >= 0.5


def test_classes_the_student_never_learned_are_refused_with_both_lists(checkpoint, tmp_path):
    chosen = write_classes(tmp_path / "c.yaml", ("tree", "whale"))
    with pytest.raises(BadClassSet) as error:
        Segmenter.load(replace(CONFIG, checkpoint=str(checkpoint), class_set=chosen))
    assert error.value.reason == "no_vectors"
    assert "tree, whale" in str(error.value)
    assert ", ".join(NAMES) in str(error.value)


def test_a_missing_checkpoint_is_named():
    with pytest.raises(BadCheckpoint, match=r"nowhere\.safetensors"):
        Segmenter.load(replace(CONFIG, checkpoint="nowhere.safetensors"))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "mps", ""])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(BadConfig, match="`device`"):
        choose_device(device)


@pytest.mark.parametrize("max_range_m", [30.0, 5.0])
def test_a_range_in_which_nothing_can_be_is_refused(max_range_m):
    with pytest.raises(BadConfig, match="`min_range_m` < `max_range_m`"):
        Segmenter.load(SegmenterConfig(min_range_m=30.0, max_range_m=max_range_m))


def test_networks_that_want_colour_are_refused():
    scan = street(10)
    with pytest.raises(BadCheckpoint, match="takes 3"):
        voxel_features(scan.intensity, voxelize(scan.points, 0.2), 3)


def test_a_full_gpu_is_answered_with_the_nearer_half():
    segmenter = untrained(config=replace(CONFIG, max_range_m=40.0))[0]
    scan, score, calls = street(), segmenter._score, []

    def full_once(voxels, feats, classes):
        calls.append(len(voxels))
        if len(calls) == 1:
            raise torch.cuda.OutOfMemoryError("full")
        return score(voxels, feats, classes)

    segmenter._score = full_once
    result = segmenter.segment(scan)
    near = np.linalg.norm(scan.points, axis=1) <= 20.0
    assert calls[1] < calls[0]
    assert np.array_equal(result.class_id != 255, near)
