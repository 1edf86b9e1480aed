"""Work in processes: all of it, with its progress; an interruption waits only for what has begun."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clip2scene_training import parallel
from clip2scene_training.parallel import in_processes


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_and_counted(tmp_path, workers):
    seen = []
    paths = [tmp_path / f"{n}" for n in range(3)]
    in_processes(type(tmp_path).mkdir, [(p,) for p in paths], workers, 5, lambda *done: seen.append(done))
    assert all(p.is_dir() for p in paths)
    assert seen == [(2, 5), (3, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_job_is_raised_here(tmp_path, workers):
    with pytest.raises(FileNotFoundError):
        in_processes(type(tmp_path).rmdir, [(tmp_path / "a",), (tmp_path / "b",)], workers, 2, lambda *done: None)


def test_ctrl_c_does_not_wait_for_jobs_that_have_not_begun(monkeypatch):
    begun, may_end = [], threading.Event()

    class Pool(ThreadPoolExecutor):
        def __init__(self, workers, context):
            super().__init__(workers)

        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            may_end.set()
            super().shutdown(wait=wait)

    def job(number):
        begun.append(number)
        if len(begun) > 1:
            assert may_end.wait(30)

    def interrupted(done, total):
        if done:
            raise KeyboardInterrupt

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Pool)
    with pytest.raises(KeyboardInterrupt):
        in_processes(job, [(n,) for n in range(20)], 2, 20, interrupted)
    assert len(begun) <= 3
