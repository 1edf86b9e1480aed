"""The ceiling's bench: what it gathers from reports, and that it can be run again."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.evaluation import Evaluation
from clip2scene_ros.report.evaluation import build_report, write_report

WORLD = load_class_set("world")
C = len(WORLD)


@pytest.fixture
def bench(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(project / "bench"))
    monkeypatch.delitem(sys.modules, "ceiling_table", raising=False)
    return importlib.import_module("ceiling_table")


def put_report(folder: Path, name: str, split: str, right: float, shift: int = 0) -> None:
    """Write the report of a student that gets a share `right` of each class right and calls the rest the next class."""
    truth = 1000 * (1 + np.arange(C))
    evaluation = Evaluation(WORLD, np.zeros((C, C + 1), dtype=np.int64))
    for scene in range(8):
        matrix = np.zeros((C, C + 1), dtype=np.int64)
        hits = np.rint(truth * np.clip(right + 0.01 * ((scene + shift) % 3), 0, 1)).astype(np.int64)
        matrix[np.arange(C), np.arange(C)] = hits
        matrix[np.arange(C), (np.arange(C) + 1) % C] += truth - hits
        evaluation.matrix += matrix
        evaluation.scenes[str(scene)] = matrix
    evaluation.groups["0-20 m"] = evaluation.matrix
    evaluation.frames = 8
    report = build_report(
        evaluation, data_sha256="d", weights_sha256="w", world=None, command="", settings={"steps": 3, "batch_size": 2}
    )
    place = folder / name / split
    place.mkdir(parents=True)
    write_report(place / "report.json", report)


def test_seeds_of_a_student_become_mean_lowest_and_highest(bench: Any, tmp_path: Path, capsys: Any) -> None:
    for seed, right in enumerate((0.80, 0.84, 0.88)):
        put_report(tmp_path, f"tiny_seed{seed}", "val", right)
        put_report(tmp_path, f"tiny_seed{seed}", "test", right - 0.1)
    put_report(tmp_path, "14a_seed0", "test", 0.85)
    put_report(tmp_path, "18_seed0", "test", 0.74, shift=1)
    found = bench.show_table(tmp_path, [])
    (one,) = [100 * json.loads((tmp_path / "tiny_seed1/val/report.json").read_text())["miou"]]
    val = found["students"]["tiny"]["val"]
    assert (val["seeds"], val["scenes"], val["samples"]) == (3, 8, 6)
    assert val["miou"]["low"] < one < val["miou"]["high"]
    assert val["miou"]["mean"] == pytest.approx(one, abs=1.0)
    assert found["miou"] == val["miou"]["mean"]
    assert found["comparisons"]["test"]["14a"].startswith("14a is better by")
    assert found["comparisons"]["test"]["18"].startswith("no difference")
    assert set(val["groups"]["0-20 m"]["iou"]) == set(WORLD.names)
    printed = capsys.readouterr().out
    assert printed.index("| tiny val |") < printed.index("| tiny test |") < printed.index("| 14a test |")


def test_without_the_benchmarks_student_nothing_is_compared_and_runs_of_the_search_are_no_students(
    bench: Any, tmp_path: Path, capsys: Any
) -> None:
    put_report(tmp_path, "14a_seed0", "test", 0.85)
    put_report(tmp_path, "search", "tiny_400x2.training", 0.5)
    found = bench.show_table(tmp_path, [])
    assert list(found["students"]) == ["14a"]
    assert (found["comparisons"], found["miou"]) == ({}, None)


def test_a_report_is_kept_only_for_the_same_weights_world_and_scenes(bench: Any, monkeypatch: Any) -> None:
    monkeypatch.delitem(sys.modules, "ceiling", raising=False)
    is_of = importlib.import_module("ceiling").is_of
    kept = {"weights_sha256": "w", "world": {"digest": "d"}, "scenes": {"3": [], "4": []}}
    data = SimpleNamespace(digest="d", scenes=["3", "3", "4", "4"])
    assert is_of(kept, "w", data)
    assert not is_of(kept, "v", data)
    assert not is_of({**kept, "world": None}, "w", data)
    assert not is_of(kept, "w", SimpleNamespace(digest="e", scenes=data.scenes))
    assert not is_of(kept, "w", SimpleNamespace(digest="d", scenes=["3", "3", "5", "5"]))
    assert not is_of(kept, "w", SimpleNamespace(digest="d", scenes=["3", "3", "4", "4", "5", "5"]))


def test_an_empty_folder_is_said_to_be_empty(bench: Any, tmp_path: Path, capsys: Any) -> None:
    assert bench.show_table(tmp_path, [])["miou"] is None
    assert "no report yet" in capsys.readouterr().out


def test_absent_classes_are_told_from_zero(bench: Any) -> None:
    assert bench.of([None, None]) is None
    assert bench.cell(bench.of([None])) == "absent"
    assert bench.cell(bench.of([0.0])) == "0.0"
    assert bench.cell(bench.of([0.5, 0.6, None])) == "55.0 [50.0, 60.0]"
