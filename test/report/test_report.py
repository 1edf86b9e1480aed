"""report.json and report.html: round trips, checks of what is read, and a page that is whole and harmless."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadReport
from clip2scene_ros.evaluation import Evaluation
from clip2scene_ros.metrics import mean_iou
from clip2scene_ros.report.charts import ticks
from clip2scene_ros.report.evaluation import build_report, read_report, table, write_report
from clip2scene_ros.report.format import KEYS
from clip2scene_ros.report.page import page, write_page

NAMES = ("car", "<b>wall</b>", "tree & 'bush'", "bicycle")
CLASSES = ClassSet.from_json(json.dumps({"name": "few", "classes": [{"name": name} for name in NAMES]}))


def an_evaluation(seed=0):
    rng = np.random.default_rng(seed)
    scenes = {str(s): rng.integers(0, 400, (4, 5)) for s in (12, 3)}
    for matrix in scenes.values():
        matrix[3], matrix[:, 3] = 0, 0  # no bicycle, nor anything called one
    whole = sum(scenes.values())
    groups = {"near": whole // 2, "far": whole - whole // 2}
    return Evaluation(CLASSES, whole, 6, [10.0, 20.0], scenes=scenes, groups=groups)


def a_report(evaluation=None, **more):
    known = {"data_sha256": "d" * 64, "weights_sha256": "w" * 64, "world": {"seed": 3}, "command": "clip2scene x"}
    return build_report(evaluation or an_evaluation(), **{**known, **more})


EXTRAS = {
    "seeds": np.arange(3),
    "settings": {"rate": np.float32(0.5), "path": Path("a/b"), "nan": float("nan"), "deep": {"on": True, "n": (1, 2)}},
    "curves": {"mIoU": {"x": "step", "y": "mIoU", "lines": {"seed 0": np.array([[0, np.nan], [1, 0.5], [2, 0.75]])}}},
    "tables": {"search": {"columns": ["rate", "mIoU"], "rows": [[0.1, 55.5], [0.2, None]]}},
    "notes": ["synthetic"],
}


def test_what_is_written_is_read_again(tmp_path):
    report = a_report(**EXTRAS)
    write_report(tmp_path / "report.json", report)
    assert read_report(tmp_path / "report.json") == report
    assert list(report) == list(KEYS)
    assert report["seeds"] == [0, 1, 2]
    assert report["settings"] == {"rate": 0.5, "path": "a/b", "nan": None, "deep": {"on": True, "n": [1, 2]}}
    assert report["curves"]["mIoU"]["lines"]["seed 0"] == [[0, None], [1, 0.5], [2, 0.75]]


def test_the_numbers_are_those_of_the_matrices():
    evaluation = an_evaluation()
    report = a_report(evaluation)
    assert report["miou"] == pytest.approx(mean_iou(evaluation.matrix), abs=1e-6)
    assert report["absent"] == ["bicycle"]
    assert report["iou"]["bicycle"] is None
    right, total = np.trace(evaluation.matrix[:, :4]), evaluation.matrix.sum()
    assert report["accuracy"] == pytest.approx(right / total, abs=1e-6)
    assert report["points"] == total
    assert report["groups"]["near"]["miou"] == pytest.approx(mean_iou(evaluation.groups["near"]), abs=1e-6)
    assert report["groups"]["near"]["points"] + report["groups"]["far"]["points"] == total
    assert report["confusion"] == {"classes": list(NAMES), "matrix": evaluation.matrix.tolist()}
    assert np.reshape(report["scenes"]["3"], (4, 5)).tolist() == evaluation.scenes["3"].tolist()


def test_the_file_is_the_same_each_time_and_has_matrices_on_single_lines(tmp_path):
    for name in ("a", "b"):
        write_report(tmp_path / name, a_report(**EXTRAS))
    text = (tmp_path / "a").read_text()
    assert text == (tmp_path / "b").read_text()
    assert len(re.findall(r'^    "(?:12|3)": \[(?:\d+, ){19}\d+\],?$', text, flags=re.MULTILINE)) == 2


def test_nothing_measured_is_a_report_too(tmp_path):
    empty = a_report(Evaluation(CLASSES, np.zeros((4, 5), dtype=np.int64)))
    write_report(tmp_path / "r.json", empty)
    assert read_report(tmp_path / "r.json")["miou"] is None
    assert empty["absent"] == list(NAMES)
    assert "absent" in table(empty)
    assert "4 of 4 classes" in page(empty)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": "clip2scene-report/9"}, "expected a report of format"),
        ({"frames": "six"}, "`frames` to be int, but got 'six'"),
        ({"points": None}, "`points` to be int"),
        ({"miou": 0.99}, "are not those of `confusion.matrix`"),
        ({"confusion": {"classes": ["a"], "matrix": [[1, 2]]}}, "classes of `iou`"),
        ({"confusion": {"classes": list(NAMES), "matrix": [[1] * 5] * 3}}, r"shape \(4, 5\)"),
        ({"confusion": {"classes": list(NAMES), "matrix": [[1] * 5] * 3 + [[1]]}}, r"shape \(4, 5\)"),
        ({"confusion": {"classes": list(NAMES), "matrix": [[-1] * 5] * 4}}, r"shape \(4, 5\)"),
        ({"scenes": {"3": [1] * 20}}, "do not add up"),
        ({"scenes": {"3": ["1"] * 20}}, "scene '3'"),
        ({"curves": {"loss": {"lines": {"a": [[1]]}}}}, "curve 'loss'"),
        ({"tables": {"search": {"columns": ["a"], "rows": [[1, 2]]}}}, "table 'search'"),
    ],
)
def test_a_report_that_is_none_or_contradicts_itself_is_refused(tmp_path, change, text):
    (tmp_path / "r.json").write_text(json.dumps({**a_report(), **change}))
    with pytest.raises(BadReport, match=text):
        read_report(tmp_path / "r.json")


@pytest.mark.parametrize("key", KEYS)
def test_a_report_without_one_of_its_keys_is_refused(tmp_path, key):
    (tmp_path / "r.json").write_text(json.dumps({name: value for name, value in a_report().items() if name != key}))
    with pytest.raises(BadReport, match=f"`{key}`"):
        read_report(tmp_path / "r.json")


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"miou": 1}', "\x00", "[" * 100_000])
def test_a_file_that_is_no_report_is_refused(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(BadReport, match=r"r\.json"):
        read_report(tmp_path / "r.json")
    with pytest.raises(BadReport, match="cannot be read"):
        read_report(tmp_path / "none.json")


def test_what_json_cannot_hold_is_refused_by_name():
    with pytest.raises(BadReport, match=r"settings\.net\.it.*got object"):
        a_report(settings={"net": {"it": object()}})
    with pytest.raises(BadReport, match="curve 'loss'"):
        a_report(curves={"loss": [[1, 2]]})


# ---- the page


class Elements(HTMLParser):
    """Collects tags, attributes and text, and checks that what opens is closed in order."""

    VOID = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self._open = [], [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)  # <line/>
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self._open[-1] != "style":
            self.words.append(data.strip())


def test_the_page_shows_the_numbers_in_words():
    report = a_report(**EXTRAS)
    words = Elements(page(report)).words
    assert f"{100 * report['miou']:.1f}" in words
    assert "1 of 4 classes neither occur nor are predicted, and are left out of the mean: bicycle." in words
    for name in (*NAMES, "near", "far", "search", "55.5", "mIoU", "synthetic", "clip2scene x", "d" * 64, "0, 1, 2"):
        assert name in words, name
    shown = [word for word in words if word == f"{100 * report['iou']['car']:.1f}"]
    assert len(shown) >= 2  # as a bar and in the column of all points


def test_a_class_that_is_only_predicted_is_told_apart_from_an_absent_one():
    evaluation = an_evaluation()
    evaluation.matrix[0, 3] += 1
    evaluation.scenes = {}
    words = " ".join(Elements(page(a_report(evaluation))).words)
    assert "all count in the mean. Predicted though they never occur, and so 0: bicycle." in words


def test_the_page_asks_nothing_of_the_network_and_runs_nothing(tmp_path):
    evil = "\"><script src='https://evil.example/x.js'></script><img src=x onerror=alert(1)>"
    report = a_report(
        an_evaluation(),
        command=evil,
        world={evil: evil},
        settings={evil: evil},
        notes=[evil],
        curves={evil: {"x": evil, "y": evil, "lines": {evil: [[0, 1], [1, 2]], "b": [[0, 1]]}}},
        tables={evil: {"columns": [evil], "rows": [[evil]]}},
    )
    report["groups"] = {evil: report["groups"]["near"]}
    parsed = Elements(page(report, {evil: np.zeros((8, 8, 3), dtype=np.uint8)}))
    assert not {"script", "link", "iframe", "object"} & set(parsed.tags)
    assert parsed.tags.count("img") == 1
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    sources = [value for name, value in parsed.attributes if name in ("src", "href")]
    assert all(value.startswith("data:image/jpeg;base64,") for value in sources)
    assert len(sources) == 1
    assert parsed.words.count(evil) >= 10


def test_pictures_are_in_the_page_and_not_too_large(tmp_path):
    large = np.zeros((100, 3200, 3), dtype=np.uint8)
    large[:, :1600] = (255, 0, 0)
    Image.fromarray(large[:, :50]).save(tmp_path / "p.png")
    write_page(tmp_path / "r.html", a_report(), {"wide": large, "file": tmp_path / "p.png"})
    text = (tmp_path / "r.html").read_text()
    found = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", text)
    first, second = (Image.open(io.BytesIO(base64.b64decode(data))) for data in found)
    assert first.size == (1600, 50)
    assert np.allclose(np.asarray(first)[25, 100], (254, 0, 0), atol=3)
    assert second.size == (50, 100)


def test_a_bar_is_as_long_as_its_iou_and_a_row_of_the_matrix_is_100_percent():
    report = a_report()
    text = page(report)
    widths = [float(width) for width in re.findall(r"<i style=\"width:([\d.]+)%", text)]
    assert widths == [round(100 * value, 1) for value in report["iou"].values() if value is not None]
    shares = np.array([float(share) for share in re.findall(r"--v:([\d.]+)\"", text)]).reshape(4, 5)
    assert shares.sum(axis=1) == pytest.approx([1, 1, 1, 0], abs=0.03)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 71), (0.61, 0.63), (5, 5), (0, 0), (1e-7, 3e-7), (100, 12345)])
def test_ticks_are_round_and_enclose_the_values(low, high):
    values = ticks(low, high)
    assert values[0] <= low + 1e-12
    assert values[-1] >= high - 1e-12
    assert 2 <= len(values) <= 8
    step = values[1] - values[0]
    assert f"{step:.3e}"[:5] in ("1.000", "2.000", "5.000")
    assert np.allclose(np.diff(values), step)


def test_lines_of_a_chart_are_where_their_values_are():
    curve = {"x": "step", "y": "m", "lines": {"a": [[0, 0.0], [5, None], [10, 1.0]], "b": [[0, 1.0], [10, 0.0]]}}
    text = page(a_report(curves={"c": curve}))
    a, b = (
        [tuple(map(float, place.split(","))) for place in line.split()]
        for line in re.findall(r'polyline points="([^"]+)"', text)
    )
    assert len(a) == 2  # what has no value is no point
    assert (a[0][0], a[1][1]) == (b[0][0], b[0][1])
    assert a[0][1] > a[1][1]  # up on the screen is smaller
    assert a[1][0] > a[0][0]
