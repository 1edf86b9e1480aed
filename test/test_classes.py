"""Class sets: the shipped files, what is refused and why, ids of benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip2scene_ros.classes import OUTDOOR_ABSORBERS, UNKNOWN_COLOR, ClassSet, load_class_set, parse_words
from clip2scene_ros.errors import BadClassSet
from clip2scene_ros.frame import UNKNOWN

ALIASES = "\n".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]" for i in range(1, 12))
BOMB = f"x0: &x0 [lol]\n{ALIASES}\nclasses: [*x11]"
"""A class that would be 9 ** 11 words long if it were ever spelt out."""


@pytest.mark.parametrize("name", ["nuscenes", "semantickitti", "world"])
def test_the_shipped_class_sets_load_and_survive_json(name: str) -> None:
    class_set = load_class_set(name)
    assert class_set.name == name
    again = ClassSet.from_json(class_set.to_json())
    assert (again.name, again.classes) == (name, class_set.classes)
    assert [class_set.index(n) for n in class_set.names] == list(range(len(class_set)))
    np.testing.assert_array_equal(class_set.palette[: len(class_set)], [c.color for c in class_set.classes])
    assert (class_set.palette[len(class_set) :] == UNKNOWN_COLOR).all()


def test_a_class_without_prompts_is_called_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("classes: [{name: tram}, {name: cow, prompts: [a cow, a bull], color: [1, 2, 3]}]")
    class_set = load_class_set(str(path))
    assert [c.prompts for c in class_set.classes] == [("tram",), ("a cow", "a bull")]
    assert [c.color for c in class_set.classes] == [UNKNOWN_COLOR, (1, 2, 3)]


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("yaml", b"classes: ["),
        ("yaml", b"\xff\xfe\x00"),
        ("yaml", b"[" * 5000),
        ("yaml", b"classes: 2001-99-99"),
        ("form", b""),
        ("form", b"classes: []"),
        ("form", b"classes: {a: b}"),
        ("form", b"classes: [3]"),
        ("form", b"classes: [{name: ' '}]"),
        ("form", BOMB.encode()),
        ("duplicate", b"classes: [{name: a}, {name: a}]"),
        ("too_many", b"classes:\n" + b"".join(b"- name: c%d\n" % i for i in range(255))),
        ("color", b"classes: [{name: a, color: [1, 2]}]"),
        ("color", b"classes: [{name: a, color: [1, 2, 256]}]"),
        ("color", b"classes: [{name: a, color: [true, 2, 3]}]"),
        ("prompts", b"classes: [{name: a, prompts: ['']}]"),
        ("benchmark_ids", b"classes: [{name: a}]\nbenchmark_ids: [1]"),
        ("benchmark_ids", b"classes: [{name: a}]\nbenchmark_ids: {1: b}"),
        ("benchmark_ids", b"classes: [{name: a}]\nbenchmark_ids: {65536: a}"),
        ("benchmark_ids", b"classes: [{name: a}]\nbenchmark_ids: {true: a}"),
    ],
)
def test_what_is_no_class_set_is_refused_by_reason_in_a_short_text(tmp_path: Path, reason: str, content: bytes) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    with pytest.raises(BadClassSet, match=r"own\.yaml") as caught:
        load_class_set(str(path))
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 3000


def test_a_missing_set_lists_those_that_there_are() -> None:
    with pytest.raises(BadClassSet, match="'moon': expected one of nuscenes, semantickitti, world"):
        load_class_set("moon")


@pytest.mark.parametrize("text", ["", "[1, 2", "[" * 100_000, '"classes"'])
def test_json_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(BadClassSet):
        ClassSet.from_json(text)


def test_an_unknown_name_lists_the_names_there_are() -> None:
    with pytest.raises(BadClassSet, match="no class 'moon'; it has: barrier"):
        load_class_set("world").index("moon")


def test_benchmark_ids_become_class_ids_and_all_others_unknown() -> None:
    kitti = load_class_set("semantickitti")
    instance = 7 << 16
    raw = np.array([[10, 252, 40 + instance], [0, 3, instance]], dtype=np.uint32)  # car, moving car, road
    car, road = kitti.index("car"), kitti.index("road")
    mapped = kitti.from_benchmark(raw)
    assert mapped.dtype == np.uint8
    assert mapped.tolist() == [[car, car, road], [UNKNOWN] * 3]


def test_classes_in_ones_own_words() -> None:
    found = load_class_set(" road, street;car ,  police   car; person, pedestrian; ")
    assert found.names == ("road", "car", "person")
    assert [c.prompts for c in found.classes] == [("road", "street"), ("car", "police car"), ("person", "pedestrian")]
    assert found.absorbers == OUTDOOR_ABSORBERS
    assert len({c.color for c in found.classes}) == 3
    assert ClassSet.from_json(found.to_json()) == found
    assert load_class_set("road;").names == ("road",)


def test_a_class_named_as_an_absorber_is_a_class() -> None:
    found = parse_words("road; sky, clouds")
    assert found.names == ("road", "sky")
    assert not {"sky", "clouds"} & set(found.absorbers)


def test_made_colours_differ_and_none_is_that_of_unknown() -> None:
    colors = [c.color for c in parse_words("; ".join(f"c{i}" for i in range(60))).classes]
    assert len({*colors, UNKNOWN_COLOR}) == 61


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("form", ";"),
        ("form", " , ; ,"),
        ("duplicate", "road; road, street"),
        ("ambiguous", "road, street; lane, street"),
        ("ambiguous", "road, road;"),
        ("too_many", ";".join(f"c{i}" for i in range(255))),
    ],
)
def test_words_that_make_no_class_set_are_refused_by_reason(reason: str, text: str) -> None:
    with pytest.raises(BadClassSet) as caught:
        load_class_set(text)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 500


def test_absorbers_of_a_file_survive_json_and_are_no_classes(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("classes: [{name: road}]\nabsorbers: [sky, my hood]")
    class_set = load_class_set(str(path))
    assert (class_set.names, class_set.absorbers) == (("road",), ("sky", "my hood"))
    assert ClassSet.from_json(class_set.to_json()) == class_set
    path.write_text("classes: [{name: road}]\nabsorbers: [road]")
    with pytest.raises(BadClassSet, match="come twice: road"):
        load_class_set(str(path))
    path.write_text("classes: [{name: road}]\nabsorbers: sky")
    with pytest.raises(BadClassSet, match="`absorbers` to be a list"):
        load_class_set(str(path))
