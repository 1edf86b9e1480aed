"""What every training of a student does alike: where it is kept, in how many processes it runs, how its rate falls."""

from __future__ import annotations

import ctypes
import gc
import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar, cast

from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.wrappers import _FabricOptimizer
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from clip2scene_ros.errors import BadConfig, Clip2SceneError
from clip2scene_ros.student.segmenter import choose_device
from clip2scene_training.config import TrainingConfig
from clip2scene_training.state import saved_step

STATE = "state.safetensors"
"""What a run goes on from, in its folder."""
PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}
"""Names of the setting `precision`, and Fabric's for them."""

LONGEST_WAIT = timedelta(days=1)
"""Of one process for the others, one of which may look at long validation data. One that dies is told at once."""

PATIENCE_S = 10.0
"""For other processes to end after Ctrl-C, each with its files whole."""

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Options of glibc's mallopt(3)."""

Run = TypeVar("Run")
Report = dict[str, Any]
Train = Callable[[Fabric, Run], Report]
"""Trains as one process of several; the first returns the report, the others nothing."""


class Diverged(Clip2SceneError):
    """The loss is no longer a number; the last checkpoint was saved before that."""


class ProcessFailed(Clip2SceneError):
    """One of several training processes ended early; the text says why."""


def training_folder(out: Path) -> Path:
    """Return the folder that keeps all of a training but its checkpoint `out`, beside that; make it where it is not.

    Raises:
        BadConfig: `out` is a folder.
        OSError: the folder cannot be made.
    """
    if out.is_dir():
        raise BadConfig("output", f"{out} is a folder: expected the name of a checkpoint to write (.safetensors).")
    folder = out.with_name(f"{out.stem}.training")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def launch(train: Train[Run], prepare: Callable[[], Run], config: TrainingConfig, precision: str = "fp32") -> Report:
    """Train in `config.processes` processes that are started here, or in those that torchrun has started.

    Args:
        train: what each of them does; a function of some module, so that another process finds it.
        prepare: makes what `train` is given, which must be picklable; called once, or in each process of torchrun, in
            the first before the others, so that these find what it has put into caches.
        config: device, processes and batch size are read.
        precision: of the network, a name in `PRECISIONS`.

    Returns:
        The report; nothing in all processes of torchrun but the first.

    Raises:
        BadConfig: scans that cannot be dealt out evenly among the processes.
        ProcessFailed: one of several processes met an error, or was killed.
        Clip2SceneError: as `prepare` and `train`.
    """
    processes = int(os.environ["WORLD_SIZE"]) if distributed.is_torchelastic_launched() else config.processes
    if config.batch_size % processes:
        raise BadConfig(
            "processes", f"Expected `batch_size` to be a multiple of {processes} `processes`, but got "
            f"{config.batch_size}."
        )  # fmt: skip
    if distributed.is_torchelastic_launched():
        return _launched(train, prepare, config, precision)
    run = prepare()
    device = choose_device(config.device)
    own = [device.index or 0] if device.type == "cuda" else 1
    several = DDPStrategy(start_method="spawn", timeout=LONGEST_WAIT) if processes > 1 else None
    strategy, devices = ("auto", own) if several is None else (several, processes)
    fabric = Fabric(
        accelerator=device.type, devices=devices, strategy=strategy, precision=PRECISIONS[precision]  # type: ignore[arg-type]
    )  # fmt: skip
    try:
        report: Report = fabric.launch(partial(_be_one_of, train=train, run=run))
    except (ProcessRaisedException, ProcessExitedException) as error:  # its text is the other process's traceback
        raise ProcessFailed("process", str(error).strip().splitlines()[-1]) from error
    except KeyboardInterrupt:
        _end(multiprocessing.active_children())  # else the end of this process waits for theirs
        raise
    return report


def _end(children: Sequence[BaseProcess]) -> None:
    """Interrupt processes as Ctrl-C does, where a signal to this process alone did not, and wait for their end."""
    for child in children:
        child.join(1.0)
        if child.is_alive() and child.pid is not None:
            os.kill(child.pid, signal.SIGINT)
    for child in children:
        child.join(PATIENCE_S)
        if child.is_alive():
            child.kill()


@contextmanager
def interrupted_at(out: Path) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM say at which step a run goes on; `out` may have been looked at since."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        try:
            held = f"{out} is whole, --resume goes on at step {saved_step(training_folder(out) / STATE)}"
        except (Clip2SceneError, OSError):
            held = "no step is saved"
        raise type(interrupt)(f"{held}.") from interrupt


def _launched(train: Train[Run], prepare: Callable[[], Run], config: TrainingConfig, precision: str) -> Report:
    """Be one of the processes that torchrun has started."""
    here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    fabric = Fabric(
        accelerator=choose_device(config.device).type,
        devices=here,
        num_nodes=everywhere // here,
        strategy=DDPStrategy(timeout=LONGEST_WAIT),
        precision=PRECISIONS[precision],  # type: ignore[arg-type]
    )
    fabric.launch()
    with fabric.rank_zero_first():
        run = prepare()
    return _be_one_of(fabric, train, run)


def _be_one_of(fabric: Fabric, train: Train[Run], run: Run) -> Report:
    """Be one process of a run, and leave the others in order; the first returns the report, the others nothing."""
    reuse_memory()
    report = train(fabric, run)
    if distributed.is_initialized():
        # The model must go before the group that it talks through: when torch's reducer is the last to hold that, it
        # waits, without letting others run Python, for threads that may need to (seen in one of four ends, torch 2.13).
        gc.collect()
        distributed.destroy_process_group()
    return report


def reuse_memory() -> None:
    """Have the C library keep what tensors give back, rather than ask the system for fresh memory at each step.

    Fresh pages of large tensors take longer than what is computed in them: a step on the CPU is a fifth shorter. Where
    there is no glibc, nothing happens.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 2**27)):
        set_option(option, value)


def one_cycle(progress: float, warmup: float) -> float:
    """Return the share of the peak learning rate at `progress` in [0, 1): a linear rise, then half a cosine to 0."""
    if progress < warmup:
        return 0.04 + 0.96 * progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def check_finite(what: str, value: float, step: int, out: Path) -> None:
    """Raise Diverged where the loss of a step, or the length of its gradient, is no number."""
    if not math.isfinite(value):
        raise Diverged(what, f"The {what} is {value} at step {step}; lower `learning_rate`. {out} is as last saved.")


def go_back(
    fabric: Fabric, loss: Tensor, model: nn.Module, optimizer: _FabricOptimizer, clip_norm: float, step: int, out: Path
) -> None:
    """Take one step of the optimizer down the gradient of a loss, which is made no longer than `clip_norm`.

    Raises:
        Diverged: the gradient is no number; nothing has moved.
    """
    optimizer.zero_grad()
    fabric.backward(loss)
    length = fabric.clip_gradients(model, optimizer, max_norm=clip_norm, error_if_nonfinite=False)
    check_finite("gradient", float(cast(Tensor, length)), step, out)
    optimizer.step()
