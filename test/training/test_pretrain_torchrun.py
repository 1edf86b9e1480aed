"""Processes that torchrun has started learn what one process does."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from command_line import clip2scene
from labelled_shards import write_shards
from safetensors.torch import load_file
from small_street import write_clip

# coins of the batch, all pairs of a cell: then nothing is each process's own
SHARED = shlex.split(
    "--network.width 0.25 --network.voxel-size-m 0.3 --batch-size 2 --steps 2 --save-every 2 --semantic.balance 0.5 "
    "--switching.granularity batch --switching.start 0.5 --space-time.limit 0 --space-time.pixels false "
    "--switching.unpaired false --clip.device cpu --device cpu"
)


def losses(out: Path) -> dict[int, float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out.with_name(f"{out.stem}.training")))
    events.Reload()
    return {event.step: event.value for event in events.Scalars("loss")}


def test_a_signal_to_the_first_of_two_processes_ends_both(tmp_path: Path) -> None:
    shards, clip = write_shards(tmp_path / "drive", images="drop"), write_clip(tmp_path / "clip.safetensors")
    out, state = tmp_path / "student.safetensors", tmp_path / "student.training" / "state.safetensors"
    words = [shards, "--clip.checkpoint", clip, "--text.cache", "", "--labels", tmp_path / "labels", *SHARED]
    more = ["--processes", "2", "--steps", "100000", "--save-every", "1", "--out", out]
    with subprocess.Popen(
        [sys.executable, "-m", "clip2scene_ros.cli", "pretrain", *map(str, [*words, *more])],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    ) as run:  # fmt: skip
        try:
            deadline = time.monotonic() + 200
            while not state.exists():
                assert run.poll() is None
                assert time.monotonic() < deadline
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.wait(0.05)
            run.send_signal(signal.SIGTERM)
            _, said = run.communicate(timeout=100)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == 143
    assert re.search(r"interrupted: .*student\.safetensors is whole, --resume goes on at step \d+", said)
    assert not list(tmp_path.rglob("*.partial"))


def test_two_processes_of_torchrun_learn_what_one_process_does(tmp_path: Path) -> None:
    shards, clip = write_shards(tmp_path / "drive", images="drop"), write_clip(tmp_path / "clip.safetensors")
    data = [shards, "--clip.checkpoint", clip, "--text.cache", tmp_path / "text", "--labels", tmp_path / "labels"]
    alone, together = tmp_path / "alone.safetensors", tmp_path / "together.safetensors"
    one = clip2scene("pretrain", *data, *SHARED, "--out", alone)
    assert one.returncode == 0, one.stderr
    words = ["pretrain", *map(str, data), *SHARED, "--out", str(together)]
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "clip2scene_ros.cli"]
    two = subprocess.run(
        [sys.executable, "-m", *launch, *words],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert two.returncode == 0, two.stderr
    assert len(re.findall(r"report\.html", two.stdout)) == 1  # one of them tells
    assert losses(alone) == pytest.approx(losses(together), abs=2e-5)
    assert len(set(losses(alone).values())) == 2
    first, second = load_file(alone), load_file(together)
    assert first.keys() == second.keys()
    assert all(torch.allclose(first[name].float(), second[name].float(), atol=2e-3) for name in first)
    resumed = clip2scene(*words, "--resume")
    assert resumed.returncode == 1
    assert "processes was 2, is 1" in resumed.stderr
