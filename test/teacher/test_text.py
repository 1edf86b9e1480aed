"""Words become vectors, classes take the best of theirs, and real CLIP rows have sensible neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from clip2scene_ros.classes import load_class_set, parse_words
from clip2scene_ros.config import TextConfig
from clip2scene_ros.errors import BadCheckpoint, BadTeacher
from clip2scene_ros.teacher import text
from clip2scene_ros.teacher.templates import TEMPLATES
from clip2scene_ros.teacher.text import WordRows, class_vectors, encode_words, load_rows, save_rows, words_of

UNCACHED = TextConfig(cache="")


def random_words(*words: str, templates: int = 1, dimension: int = 8) -> WordRows:
    rows = torch.randn(templates, len(words), dimension, generator=torch.Generator().manual_seed(len(words)))
    return WordRows(words, functional.normalize(rows, dim=-1), "random")


def features(count: int, dimension: int = 8) -> torch.Tensor:
    return functional.normalize(torch.randn(count, dimension, generator=torch.Generator().manual_seed(1)), dim=-1)


def test_the_sentences_are_those_of_openai_and_five_of_scenes(openclip):
    theirs = [template("{}") for template in openclip.OPENAI_IMAGENET_TEMPLATES]
    assert list(TEMPLATES[:80]) == theirs
    assert len(set(TEMPLATES)) == 85
    assert all(template.count("{}") == 1 for template in TEMPLATES)
    assert all(template.endswith("in the scene.") for template in TEMPLATES[80:])


def test_a_words_vector_is_the_mean_of_its_85_sentences(clip):
    found = encode_words(clip, ["car", "road"], UNCACHED)
    assert found.rows.shape == (85, 2, 16)
    for place, word in enumerate(found.words):
        sentences = clip.tokenize([template.format(word) for template in TEMPLATES])
        rows = functional.normalize(clip.model.encode_text(sentences), dim=-1)  # open_clip's own, in full length
        torch.testing.assert_close(found.rows[:, place], rows)
        torch.testing.assert_close(found.means()[place], functional.normalize(rows.mean(0), dim=0))


def test_towers_that_look_ahead_are_asked_in_full_length(clip, monkeypatch):
    tokens = clip.tokenize(["a car"])
    monkeypatch.setattr(clip.model, "text_pool_type", "last")
    torch.testing.assert_close(text.text_features(clip.model, tokens), clip.model.encode_text(tokens))


def test_words_are_encoded_once_for_a_model(clip, tmp_path, monkeypatch):
    config = TextConfig(cache=str(tmp_path / "cache"))
    made = encode_words(clip, ["car", "road"], config)
    (file,) = (tmp_path / "cache").iterdir()
    monkeypatch.setattr(text, "_encode", lambda clip, words: pytest.fail("encoded again"))
    read = encode_words(clip, ["car", "road"], config)
    assert (read.words, read.model) == (made.words, made.model)
    torch.testing.assert_close(read.rows, made.rows, rtol=0, atol=1e-6)
    for words in (["road", "car"], ["car"]):
        with pytest.raises(pytest.fail.Exception, match="encoded again"):
            encode_words(clip, words, config)
    file.write_bytes(file.read_bytes()[:-5])
    monkeypatch.setattr(text, "_encode", lambda clip, words: made)
    assert encode_words(clip, ["car", "road"], config).words == made.words
    assert load_rows(file).words == made.words  # mended


def test_another_text_tower_is_another_cache_entry_and_another_image_tower_is_not(clip):
    import copy
    from dataclasses import replace

    other = replace(clip, model=copy.deepcopy(clip.model))
    other.model.visual.proj.add_(1)
    assert replace(other).text_sha256 == clip.text_sha256
    other.model.ln_final.bias[0] += 1e-3
    assert replace(other).text_sha256 != clip.text_sha256
    assert replace(clip, card=replace(clip.card, vocabulary=("x",))).text_sha256 != clip.text_sha256


def test_words_that_a_small_tower_never_learned_are_said_each_time(clip, caplog, tmp_path):
    for _ in range(2):  # the second time their vectors are read
        encode_words(clip, ["car", "traffic cone"], TextConfig(cache=str(tmp_path)))
        assert "never learned these words" in caplog.text
        assert "traffic cone" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("combine", ["max", "lse"])
def test_a_class_is_as_near_as_its_words_and_absorbers_are_one_more(combine):
    class_set = parse_words("road, street, lane; car; tree, bush")
    words = random_words(*words_of(class_set))
    vectors = class_vectors(words, class_set, TextConfig(combine=combine, scale=20.0))
    found, some = vectors.scores(features(7)), features(7)
    groups = [("road", "street", "lane"), ("car",), ("tree", "bush"), class_set.absorbers]
    assert found.shape == (7, 4)
    for column, group in enumerate(groups):
        cosines = np.stack([some.numpy() @ words.rows[0, words.words.index(w)].numpy() for w in group])
        expected = cosines.max(0) if combine == "max" else np.log(np.exp(20 * cosines).mean(0)) / 20
        np.testing.assert_allclose(found[:, column], expected, atol=1e-5)


def test_rows_made_elsewhere_may_lack_words_but_no_class(caplog):
    class_set = parse_words("road, street; car")
    some = random_words("car", "road")
    assert class_vectors(some, class_set).owner == (0, 1)
    assert "street, sky" in caplog.text
    with pytest.raises(BadTeacher, match="any word of: car"):
        class_vectors(random_words("road", "street"), class_set)


def test_features_of_another_model_are_refused():
    vectors = class_vectors(random_words("a", "b"), parse_words("a; b"))
    with pytest.raises(BadTeacher, match="9 numbers, text embeddings 8") as caught:
        vectors.scores(features(2, 9))
    assert caught.value.reason == "dimension"


def test_rows_survive_a_file(tmp_path):
    words = random_words("a", "b", templates=3)
    save_rows(tmp_path / "w.safetensors", words)
    again = load_rows(tmp_path / "w.safetensors")
    assert (again.words, again.model) == (words.words, words.model)
    torch.testing.assert_close(again.rows, words.rows)


def test_arrays_with_names_load_through_the_same_door(tmp_path):
    np.save(tmp_path / "w.npy", np.array([[3, 4], [0, 2]], dtype=np.float16))
    (tmp_path / "names.json").write_text('{"two": ["a", "b"], "one": ["a"]}')
    for names in (["a", "b"], f"{tmp_path}/names.json#two"):
        found = load_rows(tmp_path / "w.npy", names)
        assert found.words == ("a", "b")
        torch.testing.assert_close(found.rows, torch.tensor([[[0.6, 0.8], [0.0, 1.0]]]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "each of 1 words"),
        (["a", "a"], "different words"),
        ("names.json", "has the keys two, one"),
        ("names.json#three", "has the keys two, one"),
        ("none.json", "No such file"),
    ],
)
def test_names_that_do_not_fit_the_rows_are_refused(tmp_path, names, message):
    np.save(tmp_path / "w.npy", np.eye(2))
    (tmp_path / "names.json").write_text('{"two": ["a", "b"], "one": ["a"]}')
    with pytest.raises(BadTeacher, match=message):
        load_rows(tmp_path / "w.npy", names if isinstance(names, list) else f"{tmp_path}/{names}")


def test_files_that_are_no_rows_are_refused(tmp_path):
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "nan.npy", np.array([[np.nan, 1]]))
    (tmp_path / "short.npy").write_bytes(b"\x93NUMPY")
    for name in ("object.npy", "nan.npy", "short.npy", "missing.npy"):
        with pytest.raises(BadTeacher, match=name):
            load_rows(tmp_path / name, ["a"])
    with pytest.raises(BadCheckpoint):
        load_rows(tmp_path / "missing.safetensors")


NEIGHBOURS = {
    "car": "truck",
    "truck": "car",
    "bus": "train",
    "bicycle": "motorcycle",
    "tree": "branch",
    "cat": "dog",
    "fence": "railing",
    "wall-brick": "wall-stone",
    "sea": "water-other",
    "house": "building-other",
    "couch": "furniture-other",
}


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_the_neighbours_of_real_clip_words_make_sense(shared_data, kind):
    folder = shared_data("data/clip_text")
    words = load_rows(folder / f"coco_{kind}.npy", f"{folder}/classes.json#coco_stuff_171")
    assert (len(words.words), words.rows.shape) == (171, (1, 171, 512))
    likeness = words.means() @ words.means().T
    likeness.fill_diagonal_(-1)
    nearest = {word: words.words[int(row.argmax())] for word, row in zip(words.words, likeness, strict=True)}
    assert {word: nearest[word] for word in NEIGHBOURS} == NEIGHBOURS
    # One sentence finds a road most like a car: they are in one picture. The mean of 85 finds the pavement.
    assert nearest["road"] == {"single": "car", "multi": "pavement"}[kind]


def test_real_words_are_recognised_across_two_lists(shared_data):
    folder = shared_data("data/clip_text")
    names = folder / "classes.json"
    coco = load_rows(folder / "coco_single.npy", f"{names}#coco_stuff_171")
    voc = load_rows(folder / "voc12_single.npy", f"{names}#voc12_20")
    same = {"aeroplane": "airplane", "sofa": "couch", "motorbike": "motorcycle", "tvmonitor": "tv", "bus": "bus"}
    vectors = class_vectors(coco, parse_words("; ".join(same.values())))
    found = vectors.scores(voc.means()[[voc.words.index(word) for word in same]])
    assert found.argmax(1).tolist() == list(range(len(same)))


def test_real_rows_make_a_driving_class_set(shared_data):
    folder = shared_data("data/clip_text")
    coco = load_rows(folder / "coco_multi.npy", f"{folder}/classes.json#coco_stuff_171")
    own = parse_words("road, pavement; car, bus, truck; person; tree, bush, grass; house, skyscraper")
    vectors = class_vectors(coco, own)
    near = dict.fromkeys(("motorcycle", "train"), 1) | {"leaves": 3, "branch": 3, "roof": 4}
    found = vectors.scores(coco.means()[[coco.words.index(word) for word in near]])[:, : len(own)]
    assert found.argmax(1).tolist() == list(near.values())


def test_every_word_of_the_shipped_class_sets_is_asked_once():
    for name in ("nuscenes", "semantickitti"):
        class_set = load_class_set(name)
        words = words_of(class_set)
        assert len(set(words)) == len(words) > len(class_set)
        assert class_set.absorbers
