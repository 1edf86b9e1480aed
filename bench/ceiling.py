"""The ceiling: what a student reaches that is taught every point's true class on the train split of the world.

Sub-commands, one after the other; each keeps what is done under --folder and goes on from there when run again.
Nothing here looks at `test` or `ood` but `score`, which comes last.

    python bench/ceiling.py speed --json bench/out/speed.json
    python bench/ceiling.py search --steps 400 --rates 0.003 0.006 --balances 0.25 0.5 --augments along pasted
    python bench/ceiling.py train --student tiny --seed 0 --steps 3600
    python bench/ceiling.py score runs/ceiling/tiny_seed0.safetensors --split test
    python bench/ceiling.py score runs/ceiling/tiny_seed0.safetensors --seeds-file seeds.txt --like ood
    python bench/ceiling.py table --json docs/world1/ceiling.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from ceiling_table import show_table
from tqdm import tqdm

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import NetworkConfig, SegmenterConfig
from clip2scene_ros.evaluation import Evaluation, Labelled, evaluate
from clip2scene_ros.report.evaluation import build_report, headline, read_report, write_report
from clip2scene_ros.report.page import write_page
from clip2scene_ros.student.checkpoint import file_sha256
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_training.config import AugmentConfig, FinetuneConfig
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.finetune import finetune
from clip2scene_training.pictures import comparison
from clip2scene_training.reality import reality, report_table
from clip2scene_training.student import Student
from clip2scene_training.survey import survey
from clip2scene_training.world.splits import SPLITS, Split
from clip2scene_training.world.version import WORLD_VERSION

STUDENTS = {
    "tiny": NetworkConfig(),
    "14a": NetworkConfig(preset="14a"),
    "18": NetworkConfig(preset="18"),
    "34": NetworkConfig(preset="34"),
    "spvcnn": NetworkConfig(architecture="spvcnn", preset="paper"),
}
AUGMENTS = {
    "turned": AugmentConfig(),
    "along": AugmentConfig(turn="none"),
    "pasted": AugmentConfig(turn="none", paste=0.5),
    "mounts": AugmentConfig(turn="quarter", paste=0.5, height_m=0.5, tilt_deg=3.0, intensity_factor=6.0),
}
"""Scans turned by any angle; along the street, as they come; the same with rare things of other scans; the same as if
sensors' axes were turned, stood higher or lower, leant, and had another scale of intensity."""
CHOICES = ("learning_rate", "balance", "sampling", "augment")
"""What `search` chooses."""
TEN_MINUTES_S = 600
LOOKS = 8
"""Points of a curve, each all of `val`."""
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def main() -> None:
    """Run one sub-command, print what it found and write it as JSON if asked."""
    arguments = parser().parse_args()
    arguments.command_line = shlex.join(["python", "bench/ceiling.py", *sys.argv[1:]])
    arguments.folder.mkdir(parents=True, exist_ok=True)
    result = arguments.run(arguments)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """How many scans a second does each student learn, and how many in ten minutes?"""
    train = scenes(SPLITS["train"], min(arguments.scenes or 4, 4), arguments)
    rows = {}
    print(f"{'student':10}{'M parameters':>14}{'scans/s':>10}{'in 10 minutes':>15}   {arguments.threads} threads")
    for name in arguments.students:
        config = configured(arguments, name, steps=arguments.steps + 1)  # the first step is not timed
        pace = finetune(train, [], config, arguments.folder / "speed" / f"{name}.safetensors")["training"]
        student = Student(config.network, len(load_class_set("world")), config.normalize, config.temperature)
        rate = pace["steps"] * config.batch_size / pace["seconds"]
        rows[name] = {
            "parameters": sum(p.numel() for p in student.parameters()),
            "scans_per_s": rate,
            "scans_in_10_min": round(rate * TEN_MINUTES_S),
            "waited_share": pace["waited_s"] / pace["seconds"],
        }
        print(f"{name:10}{rows[name]['parameters'] / 1e6:14.2f}{rate:10.2f}{rows[name]['scans_in_10_min']:15d}")
    return {"threads": arguments.threads, "batch_size": arguments.batch, "steps": arguments.steps, "students": rows}


def search(arguments: argparse.Namespace) -> dict[str, Any]:
    """Learn shortly with each setting, judge by `val`, name the best."""
    train, val = (scenes(SPLITS[name], arguments.scenes, arguments) for name in ("train", "val"))
    grid = product(arguments.rates, arguments.balances, arguments.samplings, arguments.augments)
    for choice in (dict(zip(CHOICES, values, strict=True)) for values in grid):
        name = f"{arguments.student}_{arguments.steps}x{arguments.batch}_{'_'.join(map(str, choice.values()))}.json"
        path = arguments.folder / "search" / name
        if path.exists():
            continue
        config = chosen(configured(arguments, arguments.student), choice)
        report = finetune(train, val, config, path.with_suffix(".safetensors"), resume=True)
        found = {"student": arguments.student, "samples": arguments.steps * arguments.batch, **choice}
        path.write_text(json.dumps({**found, "miou": report["miou"], "iou": report["iou"]}, indent=2) + "\n")
    rows = searched(arguments.folder)
    for row in rows:
        print(f"{row['samples']:6d} samples  rate {row['learning_rate']:<7g} balance {row['balance']:<5g} "
              f"{row['sampling']:9} {row['augment']:7} {100 * row['miou']:5.1f}")  # fmt: skip
    return {"rows": rows, "best": rows[0]}


def searched(folder: Path) -> list[dict[str, Any]]:
    """Return what `search` has found: those that learned from most samples first, of these the best first."""
    rows = [json.loads(path.read_text()) for path in sorted((folder / "search").glob("*.json"))]
    return sorted(rows, key=lambda row: (-row["samples"], -row["miou"]))


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one student on `train` with the best of the search, judge it by `val` and on real data."""
    name = f"{arguments.name or arguments.student}_seed{arguments.seed}"
    out, place = arguments.folder / f"{name}.safetensors", arguments.folder / name / "val"
    if (place / "report.json").exists():
        kept = read_report(place / "report.json")
        if (kept["settings"]["steps"], kept["settings"]["batch_size"]) != (arguments.steps, arguments.batch):
            raise SystemExit(f"{place} is of a run of {kept['settings']['steps']} steps; remove it or take --folder.")
        print(f"{place} is there already")
        return kept
    rows = searched(arguments.folder)
    choice = {key: rows[0][key] for key in CHOICES} if rows else {}
    choice |= {key: given for key in CHOICES if (given := getattr(arguments, key)) is not None}
    config = replace(chosen(configured(arguments, arguments.student), choice), seed=arguments.seed)
    config = replace(config, eval_every=max(1, arguments.steps // LOOKS))
    learned, val = (scenes(SPLITS[name], arguments.scenes, arguments) for name in ("train", "val"))
    found = finetune(learned, val, config, out, resume=True, command=arguments.command_line)
    line = [[point["samples"], 100 * point["miou"]] for point in found["curve"]]
    curves = {"learning": {"x": "samples learned", "y": "mIoU on val [%]", "lines": {name: line}}}
    settings = {**asdict(config), "training": found["training"]}
    return judged(out, val, "val", place, arguments, settings=settings, seeds=[arguments.seed], curves=curves)


def chosen(config: FinetuneConfig, choice: dict[str, Any]) -> FinetuneConfig:
    """Return the settings with what a search chooses."""
    augment = {"augment": AUGMENTS[choice["augment"]]} if "augment" in choice else {}
    return replace(config, **{**choice, **augment})


def score(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score a checkpoint on a split, or on a list of seeds driven through with a split's settings."""
    if not arguments.checkpoint.is_file():
        raise SystemExit(f"{arguments.checkpoint} is not there; `train` makes it.")
    split, name, notes = SPLITS[arguments.split or arguments.like], arguments.split, []
    if arguments.seeds_file:
        content = arguments.seeds_file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        split, name = replace(split, seeds=[int(line) for line in content.split()]), f"seeds_like_{arguments.like}"
        notes = [f"{len(split.seeds)} scenes of a list with sha256 {digest}, with the settings of `{arguments.like}`."]
        print(notes[0])
    place = arguments.folder / arguments.checkpoint.stem / name
    data = scenes(split, arguments.scenes, arguments)
    return judged(arguments.checkpoint, data, name, place, arguments, notes=notes)


def judged(
    checkpoint: Path,
    data: WorldDataset,
    name: str,
    place: Path,
    arguments: argparse.Namespace,
    **more: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """Write report.json and report.html of a checkpoint to `place`, unless they are there, and return the report."""
    path, weights = place / "report.json", file_sha256(checkpoint)
    if path.exists() and is_of(kept := read_report(path), weights, data):
        print(f"{path} is there already: {headline(kept)}")
        return kept
    config = SegmenterConfig(checkpoint=str(checkpoint), device=arguments.device, threads=arguments.threads)
    segmenter = Segmenter.load(config)
    result = evaluate(labelled(segmenter, data), segmenter.class_set, scenes=data.scenes)
    found = reality(segmenter, arguments.data) if arguments.data.is_dir() else None
    report = build_report(
        result,
        data_sha256=survey(data, len(segmenter.class_set)).sha256,
        weights_sha256=weights,
        world={"version": WORLD_VERSION, "split": name, "scenes": len(data.seeds), "digest": data.digest},
        command=arguments.command_line,
        tables={"What could be checked on real data": report_table(found)} if found else {},
        **{**more, "notes": [*more.get("notes", []), f"{segmenter.describe()}."]},
    )
    place.mkdir(parents=True, exist_ok=True)
    if found:
        (place / "reality.json").write_text(json.dumps(found, indent=2) + "\n")
    write_page(place / "report.html", report, pictures(result))
    write_report(path, report)
    print(f"{path}: {headline(report)}")
    return report


def is_of(report: dict[str, Any], weights: str, data: WorldDataset) -> bool:
    """Return whether a report is of these weights and of these very scenes."""
    same = (report["weights_sha256"], (report["world"] or {}).get("digest")) == (weights, data.digest)
    return same and set(report["scenes"]) == set(data.scenes)


def labelled(segmenter: Segmenter, data: WorldDataset) -> Iterator[Labelled]:
    """Yield each frame with what the student says of it."""
    for frame in tqdm(data, "score", len(data), unit="scan", mininterval=10):
        yield frame, segmenter.segment(frame.scan)


def pictures(result: Evaluation) -> dict[str, Any]:
    """Return the scan that shows most."""
    if result.example is None:
        return {}
    return {"The scan with most classes": comparison(*result.example, result.class_set)}


def scenes(split: Split, limit: int, arguments: argparse.Namespace) -> WorldDataset:
    """Return the frames of a split, of its first `limit` scenes if that is not 0, generating what is missing."""
    split = replace(split, seeds=split.seeds[:limit]) if limit else split
    with tqdm(desc=split.name, total=len(split.seeds), unit="scene", mininterval=10) as bar:

        def show(done: int, _: int) -> None:
            bar.update(done - bar.n)

        return WorldDataset(split, cache_dir=arguments.cache, workers=arguments.threads, progress=show)


def configured(arguments: argparse.Namespace, student: str, steps: int = 0) -> FinetuneConfig:
    """Return the training's settings as far as the command line has them."""
    steps = steps or arguments.steps
    return FinetuneConfig(
        network=STUDENTS[student],
        steps=steps,
        batch_size=arguments.batch,
        threads=arguments.threads,
        device=arguments.device,
        save_every=min(steps, 500),
    )


def parser() -> argparse.ArgumentParser:
    """Return the grammar."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--folder", type=Path, default=Path("runs/ceiling"), help="keeps all results (%(default)s)")
    common.add_argument("--cache", type=Path, default=Path("runs/world"), help="keeps the scenes (%(default)s)")
    common.add_argument("--data", type=Path, default=DATA, help="real scans, see bench/reality.py (%(default)s)")
    common.add_argument("--scenes", type=int, default=0, metavar="N", help="first N of a split, to try things; 0: all")
    common.add_argument("--threads", type=int, default=1)
    common.add_argument("--device", default="cpu")
    common.add_argument("--json", type=Path)
    learning = argparse.ArgumentParser(add_help=False)
    learning.add_argument("--batch", type=int, default=2, help="scans a step (%(default)s)")
    student = argparse.ArgumentParser(add_help=False)
    student.add_argument("--student", choices=STUDENTS, default="tiny")
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Callable[..., object], *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        text = (run.__doc__ or "").partition("\n")[0]
        added = commands.add_parser(run.__name__, help=text, description=text, parents=[common, *parents])
        added.set_defaults(run=run)
        return added

    timed = command(speed, learning)
    timed.add_argument("--students", nargs="+", choices=STUDENTS, default=list(STUDENTS))
    timed.add_argument("--steps", type=int, default=30)
    looked = command(search, learning, student)
    looked.add_argument("--rates", nargs="+", type=float, default=[0.003, 0.006])
    looked.add_argument("--balances", nargs="+", type=float, default=[0.25, 0.5])
    looked.add_argument("--samplings", nargs="+", default=["uniform"], choices=("uniform", "balanced"))
    looked.add_argument("--augments", nargs="+", default=["pasted"], choices=AUGMENTS)
    looked.add_argument("--steps", type=int, default=400)
    learned = command(train, learning, student)
    learned.add_argument("--steps", type=int, default=3600)
    learned.add_argument("--seed", type=int, default=0)
    learned.add_argument("--name", help="of the student in the table (default: its network)")
    for key, kind in zip(CHOICES, (float, float, str, str), strict=True):
        learned.add_argument(f"--{key.replace('_', '-')}", type=kind, help="default: the best of `search`")
    scored = command(score)
    scored.add_argument("checkpoint", type=Path)
    which = scored.add_mutually_exclusive_group(required=True)
    which.add_argument("--split", choices=("val", "test", "ood"))
    which.add_argument("--seeds-file", type=Path, help="one seed a line")
    scored.add_argument("--like", choices=("test", "ood"), default="test", help="whose settings the seeds get")
    command(table)
    return top


def table(arguments: argparse.Namespace) -> dict[str, Any]:
    """Gather all reports: per student, split, class and distance, and what differs."""
    return show_table(arguments.folder, searched(arguments.folder))


if __name__ == "__main__":
    main()
