"""The photographer: things of every kind, photos that repeat themselves, captions that name what is seen, mostly."""

from __future__ import annotations

import ast
import tarfile
from pathlib import Path

import numpy as np
import pytest

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.errors import BadDataset
from clip2scene_ros.teacher.tokenizer import WordTokenizer, split_words
from clip2scene_training.photos import PhotoConfig
from clip2scene_training.photos import corpus as corpus_module
from clip2scene_training.photos.captions import FRAMES, LIGHTS, Sight, caption, color_name, vocabulary
from clip2scene_training.photos.corpus import PhotoCorpus, read_shard
from clip2scene_training.photos.photographer import kinds_of, photo, subject_of
from clip2scene_training.photos.stage import MAKERS, stage
from clip2scene_training.photos.words import KINDS, NAMES, SUBJECTS
from clip2scene_training.world.classes import Label
from clip2scene_training.world.materials import Material

GROUND = {"road", "sidewalk", "grass", "dirt", "sky"}
SMALL = PhotoConfig(size_px=32, visits=8)
LOW_LEVEL = {"appearance", "classes", "finish", "materials", "mesh", "optics", "picture", "shading", "tracer"}
"""What the photographer shares with the world: how surfaces look and light falls, no thing and no place."""
TALLEST_M = {"car": 2.5, "person": 2.6, "cone": 1.2, "bicycle": 1.4, "barrier": 1.8, "bollard": 1.6, "bus": 5.5}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(corpus_module, "SHARD", 4)


def test_every_class_of_the_world_and_the_sky_can_be_photographed():
    assert {kind.label for kind in KINDS.values()} == {*Label, None}
    assert {name for _, kinds in SUBJECTS.values() for name in kinds} == set(KINDS)
    assert set(MAKERS) == set(KINDS) - GROUND
    assert len(NAMES) < 256


def test_no_thing_place_or_split_of_the_world_is_used(project: Path):
    found = set()
    for path in (project / "training" / "clip2scene_training" / "photos").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clip2scene_training.world"):
                found.add(node.module.removeprefix("clip2scene_training.world").removeprefix("."))
    assert found <= LOW_LEVEL


def test_what_a_caption_names_is_among_the_pixels_and_training_never_asks_for_them(project: Path):
    config, named = PhotoConfig(size_px=32, visits=8, wrong=0.0), 0
    for seed in range(8):
        seen = {NAMES[number] for number in np.unique(kinds_of(seed, config))}
        told = split_words(photo(seed, config)[1])
        for kind in KINDS:
            if kind in told:  # a one-word name that no other kind has
                named += 1
                assert any(kind in KINDS[other].words for other in seen)
    assert named >= 4
    package = project / "training" / "clip2scene_training"
    assert [path.name for path in package.rglob("*.py") if "kinds_of" in path.read_text()] == ["photographer.py"]


@pytest.mark.parametrize("kind", MAKERS)
def test_things_are_sound_and_stand_on_the_ground(kind):
    for seed in range(4):
        mesh = MAKERS[kind](np.random.default_rng([seed, 5]))
        low, high = mesh.bounds
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.min() >= 0
        assert mesh.faces.max() < len(mesh.vertices)
        assert len(mesh.faces) == len(mesh.material) == len(mesh.color)
        assert ((mesh.color >= 0) & (mesh.color <= 1)).all()
        assert set(np.unique(mesh.material)) <= {int(m) for m in Material}
        assert -0.6 < low[2] < 0.12
        assert 0.2 < high[2] < TALLEST_M.get(kind, 40)


def test_a_photo_depends_on_its_seed_alone():
    first, words = photo(3, SMALL)
    photo(11, SMALL)
    again, same_words = photo(3, SMALL)
    assert first.shape == (32, 32, 3)
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert words == same_words
    assert (photo(4, SMALL)[0] != first).any()


def test_photos_are_pictures_not_blanks():
    spread = [photo(seed, SMALL)[0].std() for seed in range(16)]
    assert np.median(spread) > 15


def test_what_the_photographer_meant_to_take_varies():
    assert len({subject_of(seed, SMALL) for seed in range(40)}) > 9


def test_scenes_have_nearly_every_subject_and_things_do_not_share_numbers():
    found = set()
    for seed in range(3):
        place = stage(seed)
        assert len(place.props) >= 15
        found |= set(place.props)
        numbers = [number for props in place.props.values() for number, _ in props]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert found == set(SUBJECTS) - {"sky"}


def kinds_named(text: str) -> set[str]:
    return {kind for kind, k in KINDS.items() for word in k.words if f" {word} " in f" {text.replace(',', '')} "}


SIGHTS = [Sight("bus", 0.4, (200, 30, 30)), Sight("road", 0.3, (90, 90, 90)), Sight("tree", 0.2, (40, 90, 30))]


def captions(wrong: float, n: int = 400, sights=SIGHTS, subject: str = "bus") -> list[str]:
    return [caption(subject, sights, "clear", wrong, np.random.default_rng([k, 9])) for k in range(n)]


def test_a_street_may_have_no_paint_at_all():
    assert len(stage(209).props["road"]) == 2  # asphalt and its paint
    assert len(stage(208).props["road"]) == 1


def test_a_right_caption_names_only_what_is_seen():
    for text in captions(0.0):
        named = kinds_named(text.removesuffix("under a blue sky"))
        assert named
        assert named <= {"bus", "road", "tree", "bush", "hedge"}  # they share the word vegetation


def test_wrong_captions_are_as_frequent_as_asked_for():
    bus = {word for word in KINDS["bus"].words}
    one = [Sight("bus", 0.9, (10, 10, 10))]
    for wrong in (0.1, 0.4):
        texts = captions(wrong, 3000, one)
        missed = np.mean([not any(word in text for word in bus) for text in texts])
        assert missed == pytest.approx(wrong * (1 - 1 / len(KINDS)), abs=0.03)


def test_captions_are_incomplete_and_mostly_begin_with_the_subject():
    texts = captions(0.0, 2000, subject="tree")
    counts = np.array([len(kinds_named(t) & {"bus", "road", "tree"}) for t in texts])
    assert 0.3 < np.mean(counts == 1) < 0.6
    assert np.mean([bool(kinds_named(t) & {"tree"}) for t in texts]) > 0.75


def test_small_things_are_not_mentioned():
    sights = [Sight("road", 0.99, (90, 90, 90)), Sight("cone", 0.01, (255, 90, 0))]
    assert not any("cone" in text for text in captions(0.0, 200, sights, "road"))


def test_the_vocabulary_holds_every_word_of_captions_and_of_the_worlds_classes():
    words = vocabulary()
    tokens = WordTokenizer(words, 24)
    texts = [
        t for light in LIGHTS for t in [caption("car", SIGHTS, light, 0.5, np.random.default_rng(k)) for k in range(99)]
    ]
    texts += [prompt for c in load_class_set("world").classes for prompt in c.prompts]
    assert not {word for text in texts for word in tokens.unknown(text)}
    assert words == sorted({part for word in words for part in split_words(word)})
    assert max(len(split_words(text)) for text in texts) <= 24 + 6
    assert len(FRAMES) > 20


@pytest.mark.parametrize(
    ("color", "name"),
    [((200, 20, 20), "red"), ((20, 20, 20), "black"), ((240, 240, 240), "white"), ((30, 60, 200), "blue"),
     ((60, 160, 50), "green"), ((230, 220, 40), "yellow"), ((240, 130, 20), "orange"), ((90, 50, 20), "brown"),
     ((128, 128, 130), "grey"), ((230, 40, 150), "pink")],
)  # fmt: skip
def test_colours_are_called_as_people_call_them(color, name):
    assert color_name(color) == name


def test_a_corpus_is_the_photos_of_its_seeds(tmp_path):
    found = PhotoCorpus(6, SMALL, tmp_path, first=8, workers=1)
    images, texts = found.load()
    assert images.shape == (6, 32, 32, 3)
    assert texts == [photo(seed, SMALL)[1] for seed in range(8, 14)]
    difference = np.abs(images[2].astype(int) - photo(10, SMALL)[0])
    assert difference.mean() < 12  # what JPEG does to noise
    with tarfile.open(found.paths[0]) as tar:
        assert tar.getnames()[:3] == ["0000000008.jpg", "0000000008.txt", "0000000009.jpg"]


def test_a_corpus_is_made_once_and_always_the_same(tmp_path):
    calls: list[tuple[int, int]] = []
    made = PhotoCorpus(6, SMALL, tmp_path / "a", workers=1, progress=lambda *at: calls.append(at))
    assert calls == [(0, 2), (1, 2), (2, 2)]
    calls.clear()
    PhotoCorpus(6, SMALL, tmp_path / "a", workers=1, progress=lambda *at: calls.append(at))
    assert calls == [(2, 2)]
    other = PhotoCorpus(6, SMALL, tmp_path / "b", workers=1)
    assert made.sha256() == other.sha256()
    assert made.paths[0].parent.name != PhotoCorpus(1, PhotoConfig(16), tmp_path / "a", workers=1).paths[0].parent.name


def test_a_damaged_shard_says_what_to_do(tmp_path):
    path = PhotoCorpus(2, SMALL, tmp_path, workers=1).paths[0]
    for content in (path.read_bytes()[:700], b"no tar"):
        path.write_bytes(content)
        with pytest.raises(BadDataset, match="delete it"):
            list(read_shard(path))


@pytest.mark.parametrize(("count", "first"), [(0, 0), (2, -1)])
def test_photos_that_cannot_be_are_refused(tmp_path, count, first):
    with pytest.raises(ValueError, match="Expected"):
        PhotoCorpus(count, SMALL, tmp_path, first=first)
