"""The ceiling table, gathered from the reports that bench/ceiling.py left in a folder, as JSON and as Markdown.

All figures are in percent. A student of several training seeds has the mean over them and the lowest and highest.

    python bench/ceiling_table.py runs/ceiling --json docs/world1/ceiling.json
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

from clip2scene_ros.errors import BadReport
from clip2scene_ros.report.evaluation import read_report
from clip2scene_ros.significance import compare_reports

BENCHMARK = "tiny"
"""The student of the benchmark; the others are compared with it."""

Reports = dict[str, dict[str, list[dict[str, Any]]]]
"""Student -> split -> the reports of its training seeds."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("runs/ceiling"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = show_table(arguments.folder, [])
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def show_table(folder: Path, search: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the tables as Markdown and return everything; `miou` is the ceiling: the best student's on `val`."""
    reports = gather(folder)
    result = {
        "unit": "percent",
        "benchmark": BENCHMARK,
        "ceiling": None,
        "miou": None,
        "students": {s: {split: spread(found) for split, found in splits.items()} for s, splits in reports.items()},
        "comparisons": comparisons(reports),
        "reality": realities(folder),
        "search": search,
    }
    judged = {s: splits["val"]["miou"]["mean"] for s, splits in result["students"].items() if "val" in splits}
    if judged:
        result["ceiling"] = max(judged, key=lambda student: judged[student])
        result["miou"] = judged[result["ceiling"]]
    print("\n".join(markdown(result)))
    return result


def gather(folder: Path) -> Reports:
    """Return the reports in `<student>_seed<k>/<split>/report.json`; other checkpoints are students by their names."""
    found: Reports = defaultdict(dict)
    for path in sorted(folder.glob("*/*/report.json")):
        if path.parent.suffix == ".training":  # what `finetune` says of itself: a run of the search
            continue
        student = path.parent.parent.name.partition("_seed")[0]
        found[student].setdefault(path.parent.name, []).append(read_report(path))
    return found


def spread(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean, lowest and highest of mIoU, of each class and of each distance over training seeds."""
    first = reports[0]
    return {
        "seeds": len(reports),
        "scenes": len(first["scenes"]),
        "points": first["points"],
        "absent": first["absent"],
        "data_sha256": first["data_sha256"],
        "weights_sha256": [report["weights_sha256"] for report in reports],
        "samples": first["settings"].get("steps", 0) * first["settings"].get("batch_size", 0) or None,
        "curves": [line for r in reports for c in r["curves"].values() for line in c["lines"].values()],
        "miou": of([report["miou"] for report in reports]),
        "accuracy": of([report["accuracy"] for report in reports]),
        "iou": {name: of([report["iou"][name] for report in reports]) for name in first["iou"]},
        "groups": {
            name: {
                "miou": of([report["groups"][name]["miou"] for report in reports]),
                "iou": {c: of([report["groups"][name]["iou"][c] for report in reports]) for c in first["iou"]},
            }
            for name in first["groups"]
        },
    }


def of(shares: list[float | None]) -> dict[str, float] | None:
    """Return mean, lowest and highest in percent, None where a class is absent."""
    known = [100 * share for share in shares if share is not None]
    if not known:
        return None
    mean = math.fsum(known) / len(known)
    return {"mean": round(mean, 2), "low": round(min(known), 2), "high": round(max(known), 2)}


def comparisons(reports: Reports) -> dict[str, dict[str, str]]:
    """Return, by split and student, whether it differs from the benchmark's: a paired bootstrap over scenes."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for student, splits in reports.items():
        for split, own in splits.items():
            other = reports.get(BENCHMARK, {}).get(split, [])
            if student != BENCHMARK and other:
                found[split][student] = verdict(own, other, student)
    return found


def verdict(own: list[dict[str, Any]], other: list[dict[str, Any]], student: str) -> str:
    """Return the finding in words, or why there is none."""
    try:
        return compare_reports(own, other).verdict(student, BENCHMARK)
    except BadReport as error:
        return f"not comparable: {error}"


def realities(folder: Path) -> dict[str, Any]:
    """Return what each checkpoint reached on the real data, by its name."""
    return {path.parent.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/*/reality.json"))}


def markdown(result: dict[str, Any]) -> list[str]:
    """Return mIoU by split and distance, IoU by class, comparisons and the real data as Markdown tables."""
    columns = [
        (f"{student} {split}", splits[split])
        for student, splits in sorted(result["students"].items(), key=lambda item: item[0] != BENCHMARK)
        for split in sorted(splits, key=lambda split: (SPLITS.index(split) if split in SPLITS else len(SPLITS), split))
    ]
    if not columns:
        return ["no report yet"]
    bands, classes = columns[0][1]["groups"], columns[0][1]["iou"]
    rows = [
        [name, str(found["seeds"]), str(found["scenes"]), cell(found["miou"])]
        + [cell(found["groups"][band]["miou"]) for band in bands]
        + [str(len(found["absent"]))]
        for name, found in columns
    ]
    lines = ["", *grid(["student, split", "seeds", "scenes", "mIoU", *bands, "absent classes"], rows)]
    rows = [[name, *(cell(found["iou"].get(name)) for _, found in columns)] for name in classes]
    lines += ["", *grid(["IoU", *(name for name, _ in columns)], rows)]
    near = [(name, found) for name, found in columns if name in (f"{BENCHMARK} test", f"{BENCHMARK} ood")]
    head = ["IoU by distance", *(f"{name}, {band}" for name, _ in near for band in bands)]
    rows = [[n, *(cell(found["groups"][band]["iou"].get(n)) for _, found in near for band in bands)] for n in classes]
    lines += ["", *grid(head, rows)] if near else []
    lines += ["", *(f"* {split}: {text}" for split, by in result["comparisons"].items() for text in by.values())]
    return [*lines, "", *grid(REAL, [real_row(name, found) for name, found in result["reality"].items()])]


SPLITS = ("val", "test", "ood")
REAL = [
    "checkpoint", "SemanticKITTI mIoU", "0-20 m", "20-40 m", "40+ m", "truck", "barrier", "pedestrian", "car",
    "scans 94, 95 agree", "chance",
]  # fmt: skip


def real_row(name: str, found: dict[str, Any]) -> list[str]:
    """Return one checkpoint's figures on the real data."""
    shares = [band["miou"] for band in found["semantickitti"].values()]
    shares += [found["nuscenes"][kind]["points"]["share"] for kind in REAL[5:9]]
    shares += [found["agreement"]["agree"], found["agreement"]["chance"]]
    return [name, *("none" if share is None else f"{100 * share:.1f}" for share in shares)]


def grid(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def cell(value: dict[str, float] | None) -> str:
    """Return `61.2`, with `[60.8, 61.9]` where seeds differ."""
    if value is None:
        return "absent"
    whole = f" [{value['low']:.1f}, {value['high']:.1f}]" if value["high"] > value["low"] else ""
    return f"{value['mean']:.1f}{whole}"


if __name__ == "__main__":
    main()
