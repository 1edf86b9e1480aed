"""Work in several processes that can be interrupted, with its progress."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


def in_processes(
    work: Callable[..., None], jobs: Sequence[tuple[Any, ...]], workers: int, total: int, progress: Progress
) -> None:
    """Call `work(*job)` for every job, in whatever order.

    Args:
        work: a function of some module, so that another process finds it.
        jobs: its arguments.
        workers: processes; 1 works in this one.
        total: jobs and what was done before.
        progress: called with (done, total), first with what was done before.
    """
    done = total - len(jobs)
    progress(done, total)
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            work(*job)
            done += 1
            progress(done, total)
        return
    # spawn, not fork: the caller may hold torch threads or a CUDA context
    pool = ProcessPoolExecutor(min(workers, len(jobs)), multiprocessing.get_context("spawn"))
    try:
        for finished in as_completed([pool.submit(work, *job) for job in jobs]):
            finished.result()
            done += 1
            progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)  # or Ctrl-C would wait for all the jobs not yet begun
