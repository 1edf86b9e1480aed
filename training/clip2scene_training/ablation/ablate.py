"""`clip2scene ablate`: row after row, each in a folder and a process of its own, and what they say together.

What is finished is kept: asked again, the same command goes on where it stopped. A row that fails is reported as
failed, with its last words, and the others go on.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from clip2scene_ros.errors import BadConfig, Clip2SceneError
from clip2scene_ros.files import whole_file
from clip2scene_training.ablation.plan import ROWS, Plan
from clip2scene_training.ablation.rows import PAPER, PRETRAIN, AblationRow, Rows
from clip2scene_training.ablation.run import Found, Job
from clip2scene_training.pretrain import pretrain

TRIAL_STEPS = 4
"""Steps by which the pace is taken; the first, in which all is fetched, does not count."""
ROOM = 0.8
"""Share of a budget that training may take: labels are read, streets are judged."""
LOG = "log.txt"
log = logging.getLogger(__name__)

Runs = Callable[[Job, str], None]
"""Runs a job, whose result then lies in its folder; raises what is to be told of a failure."""


class RowFailed(Clip2SceneError):
    """A row's process ended with an error; the text is its last line."""


@dataclass
class Results:
    """What has been found so far.

    Attributes:
        found: row -> seed -> what it was found to be worth.
        failed: row -> why, of one of its seeds.
    """

    found: dict[str, dict[int, Found]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def ablate(
    home: Path,
    plan: Plan,
    rows: Rows,
    chosen: Sequence[AblationRow],
    split: str,
    runs: Runs | None = None,
    results: Results | None = None,
) -> Results:
    """Run the rows that are not finished, and return what all chosen ones have found.

    Args:
        home: the ablation's folder.
        plan: as saved there.
        rows: all.
        chosen: those to run, with the seeds to run them with, in this order.
        split: which scenes judge.
        runs: how a job is run; None takes a process for each.
        results: to add to, so that they are at hand after Ctrl-C.

    Raises:
        KeyboardInterrupt: what is finished lies in the folder.
    """
    results, runs = Results() if results is None else results, runs or in_a_process
    jobs = [Job(home, plan, rows, row, seed) for row in chosen for seed in row.seeds]
    with tqdm(jobs, "rows", unit="row", disable=not sys.stderr.isatty()) as bar:
        for job in bar:
            bar.set_postfix_str(f"{job.row.name}, seed {job.seed}")
            try:
                if not finished(job, split):
                    runs(job, split)
                results.found.setdefault(job.row.name, {})[job.seed] = Found.read(job.result(split))
            except (Clip2SceneError, OSError) as error:
                results.failed[job.row.name] = f"seed {job.seed}: {error}"
                log.warning("Row %s failed: %s", job.row.name, results.failed[job.row.name])
    return results


def finished_before(home: Path, plan: Plan, rows: Rows, split: str) -> Results:
    """Return what lies finished in an ablation's folder, of all rows and all seeds."""
    results = Results()
    for row in rows.rows.values():
        seeds = (folder.name.removeprefix("seed") for folder in (home / row.name).glob("seed*"))
        for seed in sorted(int(seed) for seed in seeds if seed.isdecimal()):
            job = Job(home, plan, rows, row, seed)
            if finished(job, split):
                results.found.setdefault(row.name, {})[job.seed] = Found.read(job.result(split))
    return results


def finished(job: Job, split: str) -> bool:
    """Return whether the result of this very job is there."""
    path = job.result(split)
    if not path.is_file():
        return False
    try:
        return Found.read(path).key == job.key
    except Clip2SceneError:
        return False  # damaged: it is made again


def in_a_process(job: Job, split: str) -> None:
    """Run a job in a process of its own, which Ctrl-C ends as well; what it says goes into its folder.

    Raises:
        RowFailed: with its last line.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    path = job.folder / LOG
    words = [
        sys.executable,
        "-m",
        "clip2scene_training.ablation.run",
        str(job.home),
        job.row.name,
        str(job.seed),
        split,
    ]
    with path.open("wb") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=stream)  # noqa: S603 - ourselves
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.terminate()  # as Ctrl-C, which not every process started in the background hears
            process.wait()
            raise
    if code == 0:
        return
    said = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if code in (130, 143):
        raise KeyboardInterrupt
    raise RowFailed("row", f"{said[-1] if said else 'no word'} (exit code {code}, {path})")


def keep_rows(home: Path, source: Path) -> None:
    """Copy the file of rows into an ablation's folder, where the processes of rows read it."""
    with source.open("rb") as theirs, whole_file(home / ROWS) as stream:
        shutil.copyfileobj(theirs, stream)


def samples_within(budget_s: float, plan: Plan, rows: Rows, chosen: Sequence[AblationRow]) -> int:
    """Return how many scans the slowest of the rows learns from in a time, tried on this machine.

    The slowest is the one with most sweeps; labels and features that the trial makes are kept for the rows.

    Args:
        budget_s: for a row.
        plan: all but its `samples`.
        rows: all.
        chosen: those that will run.

    Raises:
        BadConfig: `budget`: too short for a single step.
    """
    tried = [row for row in chosen if row.kind == PRETRAIN] or [rows.rows[PAPER]]
    configs = [rows.config(row, 0, 1, plan.threads, plan.clip) for row in tried]
    config = max(configs, key=lambda each: (each.sweeps.count, each.batch_size))
    config = replace(config, steps=TRIAL_STEPS, save_every=TRIAL_STEPS, teacher="")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "trial.safetensors"
        pace = pretrain(plan.learned, None, config, out, cache=Path(plan.labels))["training"]
    samples = int(ROOM * budget_s * pace["steps"] * config.batch_size * config.sweeps.count / pace["seconds"])
    if samples < config.batch_size * config.sweeps.count:
        raise BadConfig("budget", f"A step takes {pace['seconds'] / pace['steps']:.1f} s: expected a longer --budget.")
    return samples
