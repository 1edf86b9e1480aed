"""One row of an ablation, in a process of its own: learn, judge, keep what was found.

    python -m clip2scene_training.ablation.run FOLDER ROW SEED SPLIT

What a row needs is in the folder: plan.json and rows.yaml. A row that was interrupted goes on.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from clip2scene_ros import terminal
from clip2scene_ros.config import ClipConfig, SegmenterConfig, TextConfig
from clip2scene_ros.errors import BadConfig, BadReport
from clip2scene_ros.files import whole_file
from clip2scene_ros.student.checkpoint import file_sha256
from clip2scene_ros.teacher.clip import save_clip
from clip2scene_ros.teacher.teachers import TINY, TINY_CLIP
from clip2scene_ros.vocabulary import load_segmenter
from clip2scene_training.ablation.judge import (
    Predict,
    asked_for,
    by_geometry,
    by_teacher,
    judge,
    random_directions,
)
from clip2scene_training.ablation.plan import ROWS, Plan, read_plan
from clip2scene_training.ablation.rows import FILLED, FINETUNE, GEOMETRY, AblationRow, Rows, load_rows
from clip2scene_training.datasets.without_views import WithoutViews
from clip2scene_training.finetune import finetune
from clip2scene_training.pretrain import pretrain
from clip2scene_training.scoring_table import Row, row_from_json
from clip2scene_training.teachers import TeacherSettings, Words, shipped_or_other

STUDENT, TRAINED = "student.safetensors", "trained.json"


@dataclass(frozen=True)
class Job:
    """A row with one of its seeds.

    Attributes:
        home: the ablation's folder.
        plan, rows, row, seed: what is asked for.
    """

    home: Path
    plan: Plan
    rows: Rows
    row: AblationRow
    seed: int

    @property
    def folder(self) -> Path:
        """Return the folder that is this job's alone."""
        return self.home / self.row.name / f"seed{self.seed}"

    @property
    def student(self) -> Path:
        """Return the checkpoint that is judged."""
        return self.home / self.row.of / f"seed{self.seed}" / STUDENT if self.row.of else self.folder / STUDENT

    @property
    def key(self) -> str:
        """Return what the results of no other row, seed or student have."""
        return hashlib.sha256(f"{self.rows.key(self.row)} {self.plan.shared} {self.seed}".encode()).hexdigest()

    def result(self, split: str) -> Path:
        """Return the file of what was found on a split."""
        return self.folder / f"{split}.json"


@dataclass(frozen=True)
class Found:
    """What a row was found to be worth on a split.

    Attributes:
        key: of the job.
        row: its counts.
        camera: the same, "seen" being "by the camera that is taken away in some rows, alone".
        asked: class -> `average_precision` and `chance`, of those it had never heard of.
        notes: what training says of itself: its pace, its steps.
    """

    key: str
    row: Row
    camera: Row
    asked: dict[str, dict[str, Any]]
    notes: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        content = {
            "key": self.key, "row": self.row.to_json(), "camera": self.camera.to_json(), "asked": self.asked,
            "notes": self.notes,
        }  # fmt: skip
        with whole_file(path) as stream:
            stream.write((json.dumps(content) + "\n").encode())

    @staticmethod
    def read(path: Path) -> Found:
        """Read what `save` wrote.

        Raises:
            BadReport: it is damaged.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            rows = [row_from_json(content[name]) for name in ("row", "camera")]
            return Found(str(content["key"]), rows[0], rows[1], dict(content["asked"]), dict(content["notes"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadReport("row", f"{path} does not hold the result of a row ({error}); delete it.") from error


def run(job: Job, split: str) -> Found:
    """Learn, unless that is done, and judge by a split; the result is kept in the job's folder.

    Raises:
        Clip2SceneError: as training and judging.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(job.plan.threads)
    notes = learn(job) if job.row.learns else {}
    row, camera = judge(predictor(job), job.plan.judged(split), job.plan.class_set.names, job.rows.camera)
    found = Found(job.key, row, camera, asked(job, split), notes)
    found.save(job.result(split))
    return found


def learn(job: Job) -> dict[str, Any]:
    """Train the job's student, or go on with that, and return what it says of its training."""
    done = job.folder / TRAINED
    if done.is_file() and job.student.is_file():
        kept: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        if (kept["key"], kept["weights_sha256"]) == (job.key, file_sha256(job.student)):
            return dict(kept["notes"])
    command, plan, streets = shlex.join(["clip2scene", "ablate", "--rows", job.row.name]), job.plan, job.plan.learned
    if job.row.kind == FINETUNE:
        truth = replace(job.rows.ceiling(job.row, job.seed, plan.samples, plan.threads), class_set=plan.classes)
        found = finetune(streets, [], truth, job.student, resume=True, command=command)
    else:
        frames = WithoutViews(streets, _camera(job)) if job.row.without_camera else streets
        config = replace(
            job.rows.config(job.row, job.seed, plan.samples // job.row.rounds, plan.threads, clip_of(job)),
            classes=classes_of(job),
        )
        dense, labels = job.row.dense, Path(plan.labels)
        taught: dict[str, Any] = {"dense": dense, "cache": labels, "resume": True, "command": command}
        for number in range(1, job.row.rounds):
            before = job.folder / f"round{number}.safetensors"
            pretrain(frames, None, config, before, **taught)
            config = replace(config, teacher=str(before))
        found = pretrain(frames, None, config, job.student, **taught)
    notes = {"training": found["training"], "loss": [point["loss"] for point in found["curve"]]}
    content = {"key": job.key, "weights_sha256": file_sha256(job.student), "notes": notes}
    with whole_file(done) as stream:
        stream.write((json.dumps(content) + "\n").encode())
    return notes


def _camera(job: Job) -> str:
    """Return the camera that a row learns without.

    Raises:
        BadConfig: the streets have none of that name.
    """
    cameras = [view.name for view in job.plan.learned[0].views]
    if job.rows.camera not in cameras:
        raise BadConfig("rows", f"Key `camera` is {job.rows.camera!r}: expected one of {', '.join(cameras)}.")
    return job.rows.camera


def predictor(job: Job) -> Predict:
    """Return the way to what a row says of a frame, in the classes of the truth."""
    row, plan = job.row, job.plan
    if row.learns or row.of:
        segmenter = load_segmenter(
            SegmenterConfig(
                checkpoint=str(job.student), device=str(job.rows.common.get("device", "cpu")), threads=plan.threads,
                class_set=words_asked(job), text=clip_of(job) if words_asked(job) else "",
            )
        )  # fmt: skip
        return lambda judged: segmenter.segment(judged.frame.scan).class_id
    config = replace(job.rows.config(row, job.seed, 1, plan.threads, clip_of(job)), classes=classes_of(job))
    teacher = TeacherSettings.of(config, row.dense).teacher()
    return by_geometry(teacher) if row.kind == GEOMETRY else by_teacher(teacher, row.kind == FILLED)


def asked(job: Job, split: str) -> dict[str, dict[str, Any]]:
    """Return how well the row's student finds the classes that were kept from it."""
    if not job.row.without:
        return {}
    classes, clip = job.plan.class_set, shipped_or_other(ClipConfig(checkpoint=clip_of(job), device="cpu"))
    vectors = Words.of(classes, clip, TextConfig()).vectors
    config = SegmenterConfig()
    places = {name: classes.index(name) for name in job.row.without}
    ranges = (config.min_range_m, config.max_range_m)
    return asked_for(job.student, job.plan.judged(split), vectors, places, ranges)


def classes_of(job: Job) -> str:
    """Return the class set that a row learns by, as the setting `classes` takes it."""
    truth = job.plan.class_set
    if unknown := [name for name in job.row.without if name not in truth.names]:
        raise BadConfig("rows", f"Row {job.row.name} is `without` {unknown[0]!r}: expected {', '.join(truth.names)}.")
    kept = [c.name for c in truth.classes if c.name not in job.row.without]
    if job.row.words and not job.row.of:
        return _written(job, job.row.words, job.rows.words[job.row.words], truth.absorbers)
    if job.row.without:
        return _written(
            job, "fewer", {c.name: list(c.prompts) for c in truth.classes if c.name in kept}, truth.absorbers
        )
    return job.plan.classes


def words_asked(job: Job) -> str:
    """Return the class set that a row's student is asked in; empty where that is its own, class by class.

    Nothing absorbs, as nothing does in a student's own class set.
    """
    row, truth = job.row, job.plan.class_set
    if row.of:
        return _written(job, f"asked_{row.words}", job.rows.words[row.words], ())
    own = tuple(job.rows.words[row.words]) if row.words else truth.names
    if row.without or own != truth.names:
        return _written(job, "asked", {c.name: list(c.prompts) for c in truth.classes}, ())
    return ""


def _written(job: Job, name: str, words: dict[str, list[str]], absorbers: Sequence[str]) -> str:
    """Write a class set into the job's folder, with the colours of the truth's, and return the file's name."""
    colors = {c.name: list(c.color) for c in job.plan.class_set.classes}
    classes = [
        {"name": each, "prompts": list(prompts), "color": colors.get(each, [96, 96, 96])}
        for each, prompts in words.items()
    ]
    path = job.folder / f"{name.replace(' ', '_')}.yaml"
    with whole_file(path) as stream:
        content = {"name": name, "classes": classes, "absorbers": list(absorbers)}
        stream.write(yaml.safe_dump(content, sort_keys=False).encode())
    return str(path)


def clip_of(job: Job) -> str:
    """Return the checkpoint of the row's CLIP: the plan's, for the control with its words turned at random."""
    plain = str(TINY_CLIP) if job.plan.clip == TINY else job.plan.clip
    if not job.row.random_text:
        return plain
    path = job.folder / "random_text.safetensors"
    if not path.exists():
        clip = shipped_or_other(ClipConfig(checkpoint=plain, device="cpu"))
        clip.model.text_projection.data = random_directions(clip.model.text_projection)
        save_clip(path, clip.model, replace(clip.card, name=f"{clip.card.name}, words turned at random"))
    return str(path)


def job_of(home: Path, name: str, seed: int) -> Job:
    """Return a job of an ablation's folder.

    Raises:
        BadConfig: there is no plan, or no such row.
    """
    rows = load_rows(home / ROWS)
    rows.chosen([name])
    return Job(home, read_plan(home), rows, rows.rows[name], seed)


def main(argv: Sequence[str]) -> int:
    """Run a job; what went wrong is the last line on stderr."""
    home, name, seed, split = argv
    terminal.raise_on_sigterm()

    def work() -> int:
        run(job_of(Path(home), name, int(seed)), split)
        return terminal.OK

    return terminal.run(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
