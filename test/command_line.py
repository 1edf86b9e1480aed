"""The command line in this process, for tests."""

from __future__ import annotations

import io
import signal
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from clip2scene_ros import cli


def clip2scene(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `clip2scene`, without the seconds in which a process of its own loads torch."""
    out, error, before = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
    try:
        with redirect_stdout(out), redirect_stderr(error):
            code = cli.main([str(word) for word in words])
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    return subprocess.CompletedProcess(words, code, out.getvalue(), error.getvalue())


def one_line_error(run: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
    """Assert that a command failed with one line that has these words, and no traceback."""
    assert run.returncode == code, run.stderr
    last = run.stderr.splitlines()[-1]
    assert "error: " in last
    for word in words:
        assert word in last
    assert "Traceback" not in run.stderr
