"""Classes in one's own words, of a student that learned with labels: groups of its classes, and what is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_segmenter import CONFIG, NETWORK, same, street

from clip2scene_ros.classes import ClassSet, SemanticClass, load_class_set, parse_class_set, parse_words
from clip2scene_ros.errors import BadClassSet
from clip2scene_ros.student.checkpoint import CheckpointCard
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.points import voxel_features
from clip2scene_ros.student.scoring import ClassRows, decide, rows_of, scorer
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_ros.student.sparse.tensor import collate
from clip2scene_ros.student.voxelization import voxelize
from clip2scene_ros.words import claims

KNOWN = parse_class_set(
    {
        "name": "six",
        "classes": [
            {"name": "driveable surface", "prompts": ["road", "street"]},
            {"name": "car", "prompts": ["car", "van"]},
            {"name": "truck", "prompts": ["truck", "lorry"]},
            {"name": "bus"},
            {"name": "pedestrian", "prompts": ["pedestrian", "person"]},
            {"name": "manmade", "prompts": ["building", "fence"]},
        ],
    },
    "test",
)
CPU = torch.device("cpu")
CLOSED = {"name": "mine", "classes": [{"name": "vehicle", "prompts": ["car", "truck", "bus"]}, {"name": "person"}]}
OPEN = {**CLOSED, "absorbers": ["sky"]}


def card(class_set: ClassSet = KNOWN, seed: int = 0) -> CheckpointCard:
    vectors = torch.randn(len(class_set), 8, generator=torch.Generator().manual_seed(seed))
    return CheckpointCard(NETWORK, class_set, vectors, temperature=0.3)


def unit_features(count: int = 500) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(5)), dim=1)


def decided(class_set: ClassSet, features: torch.Tensor, of: CheckpointCard | None = None):
    of = of or card()
    ready = scorer(rows_of(class_set, of), of, CPU)
    return decide(ready.scores(features), 0.0, len(class_set))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    network, own = build_network(NETWORK), card()
    voxels = voxelize(street().points, NETWORK.voxel_size_m)
    with torch.no_grad():  # centred, or an untrained head gives every voxel the same class
        features = network.eval()(collate([voxels.coords], [voxel_features(street().intensity, voxels, 1)]))
        network.head.bias -= features.mean(0)
    return Segmenter(network, own, KNOWN, own.class_vectors, CONFIG)


# ---- scores


def slow_decision(groups: list[list[int]], classes: int, feature: np.ndarray, vectors: np.ndarray):
    """Decide for one feature, word by word in double precision."""
    near = [float(feature @ v / np.linalg.norm(v)) / 0.3 for v in vectors]
    best = [max(near[k] for k in group) for group in groups]
    p = np.exp(best) / np.exp(best).sum()
    among = np.exp(best[:classes]) / np.exp(best[:classes]).sum()
    entropy = -(among * np.log(among)).sum() / math.log(classes) if classes > 1 else 0.0
    winner = int(p.argmax())
    return (winner, p[winner], entropy) if winner < classes else (255, 0.0, 1.0)


@pytest.mark.parametrize(
    ("class_set", "groups"),
    [
        (parse_class_set(CLOSED, ""), [[1, 2, 3], [4]]),
        (parse_class_set(OPEN, ""), [[1, 2, 3], [4], [0, 5]]),
        (parse_words("fence; Van, BUS"), [[5], [1, 3], [0, 2, 4]]),
        (parse_words("street; truck; bus; person; manmade; car"), [[0], [2], [3], [4], [5], [1]]),
        (parse_words("car, truck;"), [[1, 2], [0, 3, 4, 5]]),
    ],
    ids=["closed", "open", "upper case", "all", "one class"],
)
def test_a_class_is_as_near_as_its_best_word_and_the_rest_absorbs_where_the_list_is_open(class_set, groups):
    features = unit_features()
    found = decided(class_set, features)
    assert len(groups) == len(scorer(rows_of(class_set, card()), card(), CPU).sizes)
    slow = [slow_decision(groups, len(class_set), f.double().numpy(), card().class_vectors.numpy()) for f in features]
    assert found[0].tolist() == [s[0] for s in slow]
    np.testing.assert_allclose(found[1], [s[1] for s in slow], atol=1e-5)
    np.testing.assert_allclose(found[2], [s[2] for s in slow], atol=1e-5)
    assert len(set(found[0].tolist())) > 1


@given(st.permutations(range(6)), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_an_open_list_renames_the_labels_of_the_whole_and_hides_the_others(order, group_of):
    """Whatever the grouping: the winner of all six decides, under its new name, or as unknown."""
    names = [KNOWN.names[k] for k in order]
    groups = [[n for n, g in zip(names, group_of, strict=True) if g == column] for column in range(3)]  # 3 is unnamed
    groups = [group for group in groups if group]
    if not groups:
        return
    features = unit_features(100)
    renamed = {n: column for column, group in enumerate(groups) for n in group}
    whole = decided(KNOWN, features)[0]
    expected = [renamed.get(KNOWN.names[k], 255) for k in whole]
    assert decided(parse_words(";".join(map(",".join, groups)) + ";"), features)[0].tolist() == expected


def test_one_row_a_class_is_scored_bit_for_bit_as_by_the_matrix_alone(segmenter):
    own, features = card(), unit_features()
    turned = ClassSet("turned", tuple(reversed(KNOWN.classes)))
    for class_set, vectors in ((KNOWN, own.class_vectors), (turned, own.class_vectors.flip(0))):
        plain = (torch.nn.functional.normalize(vectors, dim=1).T / own.temperature).contiguous()
        assert torch.equal(scorer(rows_of(class_set, own), own, CPU).scores(features), features @ plain)
    before = segmenter.segment(street())
    segmenter.set_classes(segmenter.classes("driveable surface; car; truck; bus; pedestrian; manmade"))
    assert same(before, segmenter.segment(street()))
    assert len(set(before.class_id.tolist())) > 2


def test_scores_that_are_no_numbers_come_out_unknown_whoever_has_them():
    nan = float("nan")
    scores = torch.tensor([[nan, 0, 0], [0, nan, 0], [0, 0, nan], [1, 0, 0], [0, 0, 1]])
    class_id, probability, entropy = decide(scores, 0.0, 2)
    assert class_id.tolist() == [255, 255, 255, 0, 255]
    assert probability[[0, 1, 2, 4]].tolist() == [0] * 4
    assert entropy[[0, 1, 2, 4]].tolist() == [1] * 4
    features = unit_features(4)
    features[2] = nan
    assert (decided(parse_class_set(OPEN, ""), features)[0][2], decided(KNOWN, features)[0][2]) == (255, 255)


def test_one_class_is_certain_when_it_is_all_there_is_and_not_when_others_absorb():
    closed = ClassSet("one", (SemanticClass("car", ("car",), (0, 0, 0)),))
    class_id, probability, entropy = decided(closed, unit_features())
    assert (set(class_id), set(probability), set(entropy)) == ({0}, {1.0}, {0.0})
    class_id, probability, entropy = decided(parse_words("car;"), unit_features())
    assert set(class_id.tolist()) == {0, 255}
    assert set(entropy[class_id == 0]) == {0.0}
    assert 0.16 < probability[class_id == 0].min() < 0.99


def test_254_classes_of_two_words_each_and_what_absorbs():
    many = ClassSet("many", tuple(SemanticClass(f"c{i}", (f"c{i}",), (0, 0, 0)) for i in range(520)))
    pairs = parse_words("; ".join(f"c{2 * i}, c{2 * i + 1}" for i in range(254)))
    own = card(many)
    class_id = decided(pairs, unit_features(3000), own)[0]
    winner = decide_by_hand(unit_features(3000), own)
    assert class_id.tolist() == [k // 2 if k < 508 else 255 for k in winner]
    assert {0, 253, 255} <= set(class_id.tolist())


def decide_by_hand(features: torch.Tensor, own: CheckpointCard) -> list[int]:
    return (features @ torch.nn.functional.normalize(own.class_vectors, dim=1).T).argmax(1).tolist()


# ---- exchange


def test_a_list_is_exchanged_between_scans_and_a_scan_is_of_one_list(segmenter, monkeypatch):
    segmenter.set_classes(segmenter.classes(""))
    whole = segmenter.segment(street())
    other, network = segmenter.classes("car, truck; person"), segmenter._network

    def changed_meanwhile(tensor):
        segmenter.set_classes(other)
        return network(tensor)

    monkeypatch.setattr(segmenter, "_network", changed_meanwhile)
    assert same(segmenter.segment(street()), whole)
    monkeypatch.undo()
    assert segmenter.class_set.names == ("car", "person")
    mapped = np.full(256, 255, np.uint8)
    mapped[[1, 2, 4]] = 0, 0, 1
    assert segmenter.segment(street()).class_id.tolist() == mapped[whole.class_id].tolist()


@pytest.mark.parametrize(
    ("wanted", "reason", "said"),
    [
        (
            "car; whale",
            "no_vectors",
            ["for whale:", "learned with labels", "car (van)", "driveable surface (road, stre"],
        ),
        ("fence; building", "ambiguous", ["`fence` and `building` both mean its `manmade`"]),
        ("car; van", "no_vectors", ["for van:"]),
        ("Car; car", "ambiguous", ["'car' is in both `Car` and `car`"]),
        ("no-such-list", "missing", ["no-such-list", "words such as"]),
        (" ; ", "form", ["non-empty"]),
    ],
)
def test_a_list_that_cannot_be_is_refused_by_reason_and_the_old_one_stays(segmenter, wanted, reason, said):
    segmenter.set_classes(segmenter.classes("car; person"))
    before = segmenter.segment(street())
    with pytest.raises(BadClassSet) as refused:
        segmenter.set_classes(segmenter.classes(wanted))
    assert refused.value.reason == reason
    for part in said:
        assert part in str(refused.value)
    assert same(before, segmenter.segment(street()))


def test_words_beside_a_known_one_do_no_harm():
    found = rows_of(parse_words("automobile, car; person, Mensch"), card())
    assert found.sizes == (1, 1, 4)
    assert torch.equal(found.rows[:2], card().class_vectors[[1, 4]])


@pytest.mark.parametrize(
    ("rows", "sizes", "reason"),
    [
        (torch.zeros(5, 8), (1,) * 6, "vectors"),
        (torch.zeros(6, 8), (2, 1, 1, 1, 1, 0), "vectors"),
        (torch.zeros(8, 8), (1,) * 8, "vectors"),
        (torch.zeros(6, 512), (1,) * 6, "embedding_size"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(rows, sizes, reason):
    with pytest.raises(BadClassSet) as refused:
        scorer(ClassRows(KNOWN, rows, sizes), card(), CPU)
    assert refused.value.reason == reason
    if reason == "embedding_size":
        assert "have 8 numbers" in str(refused.value)
        assert "(6, 512)" in str(refused.value)


# ---- whose word is whose


def test_class_sets_that_are_shipped_meet_each_other_as_a_reader_would_say():
    world, nuscenes, kitti = (load_class_set(name) for name in ("world", "nuscenes", "semantickitti"))
    assert claims(world, world) == [(i,) for i in range(15)]
    assert claims(nuscenes, world) == [(nuscenes.index(name),) for name in world.names]
    theirs = dict(zip(world.names, claims(kitti, world), strict=True))
    assert theirs["driveable surface"] == (kitti.index("road"),)
    assert theirs["pedestrian"] == (kitti.index("person"),)
    assert {kitti.names[i] for i in theirs["manmade"]} == {"building", "fence", "pole", "traffic sign"}


def test_a_class_of_the_very_name_comes_before_one_that_only_knows_the_word():
    asked = parse_class_set({"classes": [{"name": "truck", "prompts": ["truck", "van"]}, {"name": "car"}]}, "test")
    assert claims(asked, KNOWN) == [(), (1,), (0,), (), (), ()]
