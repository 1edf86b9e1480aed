"""Classes in one's own words, of a student whose class vectors come from text: any words, by that text model alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_text_student import CARRIED, SIZE, UNCACHED, VOCABULARY, small_clip, text_student
from test_segmenter import CONFIG, same, street

from clip2scene_ros.classes import load_class_set, parse_words
from clip2scene_ros.describe import describe
from clip2scene_ros.errors import BadCheckpoint, BadClassSet, BadConfig, BadTeacher
from clip2scene_ros.student.checkpoint import load_checkpoint, save_checkpoint
from clip2scene_ros.student.scoring import decide, rows_of, scorer
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_ros.teacher.clip import Clip, load_clip, save_clip
from clip2scene_ros.teacher.openclip import open_clip
from clip2scene_ros.teacher.text import WordRows, class_vectors, encode_words, save_rows
from clip2scene_ros.vocabulary import TextTower, carry, load_segmenter


@pytest.fixture(scope="module")
def clip() -> Clip:
    try:
        open_clip()
    except BadTeacher as error:
        pytest.skip(f"open_clip cannot be imported (extra `clip`): {error.__cause__}")
    return small_clip("small")


@pytest.fixture(scope="module")
def folder(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a student that this text model taught, the model, another one, and files of vectors."""
    folder = tmp_path_factory.mktemp("text")
    save_clip(folder / "clip.safetensors", clip.model, clip.card)
    other = small_clip("other", VOCABULARY[::-1])
    save_clip(folder / "other.safetensors", other.model, other.card)
    words = WordRows(("tree", "person", "Road"), carry(("tree", "person", "Road"), clip, UNCACHED)[None], "small")
    save_rows(folder / "rows.safetensors", words)
    save_rows(folder / "rows_of_other.safetensors", replace(words, model="other"))
    save_rows(folder / "rows_of_8.safetensors", WordRows(words.words, words.rows[..., :8], words.model))
    state, card = text_student(clip, street())
    save_checkpoint(folder / "student.safetensors", state, card)
    save_checkpoint(folder / "bare.safetensors", state, replace(card, words=(), word_rows=None))
    return folder


def student(folder: Path, text: str = "", checkpoint: str = "student", class_set: str = "") -> Segmenter:
    text = str(folder / f"{text}.safetensors") if text else ""
    config = replace(CONFIG, checkpoint=str(folder / f"{checkpoint}.safetensors"), text=text, class_set=class_set)
    return load_segmenter(config)


@pytest.fixture(autouse=True)
def no_cache_outside(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))


def expected_scores(clip: Clip, words: str, features: torch.Tensor) -> torch.Tensor:
    """Score as the teacher does, by cosines of words that are encoded here."""
    class_set = parse_words(words)
    every = tuple(dict.fromkeys([*(w for c in class_set.classes for w in c.prompts), *class_set.absorbers]))
    return class_vectors(encode_words(clip, every, UNCACHED), class_set, templates=known(clip)).scores(features) / 0.01


def known(clip: Clip) -> list[int] | None:
    from clip2scene_ros.teacher.teachers import known_templates

    return known_templates(clip)


@pytest.mark.parametrize("words", ["road, street; car", "Car;", "person, tree; VAN; road", "sky; road"])
def test_a_student_scores_words_as_its_teacher_does(clip: Clip, folder: Path, words: str):
    _, card = load_checkpoint(folder / "student.safetensors")
    features = torch.nn.functional.normalize(torch.randn(300, SIZE, generator=torch.Generator().manual_seed(0)), dim=1)
    tower = TextTower(str(folder / "clip.safetensors"), UNCACHED)
    class_set = parse_words(words)
    ready = scorer(rows_of(class_set, card, tower), card, torch.device("cpu"))
    expected = expected_scores(clip, words.lower(), features)
    torch.testing.assert_close(ready.scores(features), expected, rtol=1e-4, atol=1e-3)
    class_id, probability, _ = decide(ready.scores(features), 0.0, len(class_set))
    winner = expected.argmax(1)
    assert class_id.tolist() == [255 if w == len(class_set) else w for w in winner.tolist()]
    assert (probability[class_id == 255] == 0).all()
    assert 255 in class_id


def test_labels_are_of_the_words_and_absorbers_make_points_unknown(folder: Path):
    segmenter = student(folder, "clip", class_set="road; car, van; person; tree")
    result = segmenter.segment(street())
    assert segmenter.class_set.names == ("road", "car", "person", "tree")
    assert len(set(result.class_id.tolist()) - {255}) > 1
    assert set(result.class_id.tolist()) <= {0, 1, 2, 3, 255}


def test_words_that_the_checkpoint_carries_need_no_text_tower(folder: Path):
    alone, with_tower = student(folder, class_set="ROAD, street; car"), student(folder, "clip")
    asked = []
    with_tower._encode = lambda words, card: asked.append(words) or {}
    with_tower.set_classes(with_tower.classes("ROAD, street; car"))
    assert same(alone.segment(street()), with_tower.segment(street()))
    assert asked == [("clouds", "sun", "lens flare", "ego-car hood", "windscreen reflection")]


def test_carried_words_come_back_from_the_file(clip: Clip, folder: Path):
    _, card = load_checkpoint(folder / "student.safetensors")
    assert (card.words, card.text_sha256) == (CARRIED, clip.text_sha256)
    assert torch.equal(card.word_rows, encode_words(clip, CARRIED, UNCACHED).means(known(clip)))
    told = describe(folder / "student.safetensors")
    assert "words: road, street, Car, van, sky\n" in told
    assert "word_rows: 5 x 16 numbers" in told
    _, bare = load_checkpoint(folder / "bare.safetensors")
    assert (bare.words, bare.word_rows) == ((), None)


@pytest.mark.parametrize(
    "changes",
    [
        {"words": ("road", "ROAD", "car", "van", "sky")},
        {"words": ("road", " ", "car", "van", "sky")},
        {"words": CARRIED[:4]},
        {"words": ()},
        {"word_rows": None},
        {"word_rows": torch.zeros(5, SIZE + 1)},
        {"word_rows": torch.full((5, SIZE), float("nan"))},
    ],
)
def test_carried_words_and_their_vectors_must_fit(folder: Path, tmp_path: Path, changes):
    state, card = load_checkpoint(folder / "student.safetensors")
    target = tmp_path / "x.safetensors"

    def there_and_back() -> None:
        save_checkpoint(target, state, replace(card, **changes))
        load_checkpoint(target)

    with pytest.raises(BadCheckpoint):
        there_and_back()


def test_own_classes_by_name_are_scored_by_the_checkpoints_own_vectors(folder: Path, tmp_path: Path):
    (tmp_path / "two.yaml").write_text("name: two\nclasses: [{name: road}, {name: car}]\n")
    segmenter = student(folder, checkpoint="bare", class_set=str(tmp_path / "two.yaml"))
    _, card = load_checkpoint(folder / "bare.safetensors")
    rows = rows_of(load_class_set(str(tmp_path / "two.yaml")), card)
    assert torch.equal(rows.rows, card.class_vectors[[2, 0]])
    assert set(segmenter.segment(street()).class_id.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("checkpoint", "text", "wanted", "reason", "said"),
    [
        ("student", "", "road; whale", "no_vectors", ["for whale:", "road, street, Car, van, sky", "small", "`text`"]),
        ("bare", "", "road; car", "no_vectors", ["for road, car:", "no words"]),
        ("student", "other", "road; tree", "text_model", ["small, sha256 ", "(other, sha256 ", "other.safetensors"]),
        ("student", "rows_of_other", "road; tree", "text_model", ["text model small", "(other)"]),
        ("student", "rows_of_8", "road; tree", "embedding_size", ["16 numbers", "have 8", "rows_of_8"]),
        ("student", "rows", "road; whale", "no_vectors", ["for whale:"]),
        ("student", "clip", "road; Tree; tree", "ambiguous", ["'tree'"]),
    ],
)
def test_what_cannot_be_is_refused_with_both_sides_and_the_old_list_stays(
    folder: Path, checkpoint: str, text: str, wanted: str, reason: str, said: list[str]
):
    segmenter = student(folder, text, checkpoint)
    before = segmenter.segment(street())
    with pytest.raises(BadClassSet) as refused:
        segmenter.set_classes(segmenter.classes(wanted))
    assert refused.value.reason == reason
    for part in said:
        assert part in str(refused.value)
    assert segmenter.class_set.names == ("car", "tree", "road")
    assert same(before, segmenter.segment(street()))


def test_vectors_from_a_file_take_the_text_towers_place(folder: Path):
    by_rows, by_tower = (student(folder, text, class_set="road; tree; person") for text in ("rows", "clip"))
    mine, theirs = (each.classes("tree; person") for each in (by_rows, by_tower))
    torch.testing.assert_close(mine.weights[:, :2], theirs.weights[:, :2])
    assert (mine.sizes, theirs.sizes) == ((1, 1, 1), (1, 1, 6))  # the file knows no absorber, the student `sky` alone


def test_a_text_tower_is_loaded_once_and_without_its_eyes(folder: Path, monkeypatch):
    loaded = []
    monkeypatch.setattr(
        "clip2scene_ros.vocabulary.load_clip", lambda config: loaded.append(config) or load_clip(config)
    )
    segmenter = student(folder, "clip")
    assert loaded == []
    for words in ("tree; road", "person; tree", "car; van"):
        segmenter.classes(words)
    assert len(loaded) == 1
    assert not list(segmenter._encode._clip.model.visual.parameters())


@pytest.mark.parametrize("text", ["clip.pt", "ViT-B-16", "a b c"])
def test_a_text_tower_that_is_no_ones_name_is_refused(text: str):
    with pytest.raises(BadConfig, match="ViT-B-16 openai"):
        TextTower(text)


def test_a_missing_text_tower_is_named(folder: Path):
    with pytest.raises(BadCheckpoint, match=r"nowhere\.safetensors"):
        student(folder, "nowhere", class_set="tree; road")


def test_points_that_are_no_numbers_stay_unknown_in_any_words(folder: Path):
    scan = street(200)
    scan.points[5] = np.nan
    result = student(folder, class_set="road; car").segment(scan)
    assert (result.class_id[5], result.probability[5], result.entropy[5]) == (255, 0.0, 1.0)
