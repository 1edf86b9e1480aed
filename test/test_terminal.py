"""What every command of the terminal shares: bars, Ctrl-C, errors as one line, exit codes."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from tqdm import tqdm

from clip2scene_ros import terminal
from clip2scene_ros.errors import BadBag


def interrupted_loop(signals_at_2: int) -> list[int]:
    """Return the items that are done after Ctrl-C was pressed while the loop was at item 2."""
    done = []

    def loop() -> None:
        for item in terminal.Progress(quiet=True)(range(5), "test"):
            for _ in range(signals_at_2 if item == 2 else 0):
                os.kill(os.getpid(), signal.SIGINT)
            done.append(item)

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return done


def test_ctrl_c_lets_the_item_in_hand_finish() -> None:
    assert interrupted_loop(1) == [0, 1, 2]


def test_a_second_ctrl_c_stops_at_once() -> None:
    assert interrupted_loop(2) == [0, 1]


@terminal.uninterrupted()
def swallow_ctrl_c(done: list[str]) -> None:
    with suppress(BaseException):
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the import")
    done.append("the rest")


def test_a_signal_that_would_be_swallowed_comes_afterwards() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        swallow_ctrl_c(done)
    assert done == ["the import", "the rest"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_thread_is_not_interrupted_anyway() -> None:
    done = []

    def work() -> None:
        with terminal.uninterrupted():
            done.append("work")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["work"]


def test_a_signal_while_trimesh_is_imported_ends_the_program() -> None:
    program = (
        "import builtins, os, signal, sys\n"
        "plain = builtins.__import__\n"
        "def importing(name, *rest):\n"
        "    if name == 'networkx':  # which trimesh looks for, whatever is raised\n"
        "        builtins.__import__ = plain\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return plain(name, *rest)\n"
        "builtins.__import__ = importing\n"
        "import clip2scene_training.world.mesh\n"
        "print('not interrupted', builtins.__import__ is plain)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == ""
    assert done.returncode == -signal.SIGINT


class Screen(io.StringIO):
    """A stderr that is, or is not, a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "quiet", "shown"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_bars_are_shown_on_a_terminal_only_and_not_with_quiet(
    is_terminal: bool, quiet: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen(is_terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    assert list(terminal.Progress(quiet)(range(3), "scans", 3)) == [0, 1, 2]
    with terminal.Progress(quiet).counter("sweeps") as bar:
        bar(1, 4)
        bar(4, 4)
    for words in ("scans: 100%", "3/3", "sweeps: 100%", "4/4"):
        assert (words in screen.getvalue()) == shown


def raising(error: BaseException) -> object:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (BadBag("x", "That is no bag."), 1, "clip2scene: error: That is no bag.\n"),
        (FileNotFoundError(2, "No such file", "a.txt"), 1, "clip2scene: error: No such file: a.txt\n"),
        (ModuleNotFoundError("no", name="rclpy.node"), 1, "pip install '.[ros]'"),
        (ModuleNotFoundError("no", name="viser"), 1, "pip install '.[viewer]'"),
        (ModuleNotFoundError("no", name="embreex"), 1, "pip install '.[train]'"),
        (ZeroDivisionError("by\nzero"), 1, "unexpected ZeroDivisionError: by zero (CLIP2SCENE_DEBUG=1 shows where)\n"),
        (KeyboardInterrupt(), 130, "clip2scene: interrupted.\n"),
        (terminal.Terminated(), 143, "clip2scene: interrupted.\n"),
    ],
)
def test_every_failure_is_one_line_and_a_code(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(terminal.DEBUG_VARIABLE, raising=False)
    assert terminal.run(raising(error)) == code  # type: ignore[arg-type]
    shown = capsys.readouterr().err
    assert text in shown
    assert shown.count("\n") == 1


def test_an_error_has_a_line_of_its_own_below_an_open_bar(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        bars.append(tqdm(desc="labels", total=3))
        bars[0].update()
        raise BadBag("x", "That is no bag.")

    bars: list[tqdm[None]] = []
    assert terminal.run(command) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "clip2scene: error: That is no bag."
    bars[0].close()


@pytest.mark.parametrize("code", [terminal.OK, terminal.WORSE])
def test_a_reader_that_has_seen_enough_does_not_change_the_exit_code(code: int) -> None:
    program = f"from clip2scene_ros.terminal import run, say; raise SystemExit(run(lambda: say('text') or {code}))"
    reader, pipe = os.pipe()
    os.close(reader)  # as `| head` does
    try:
        done = subprocess.run([sys.executable, "-c", program], stdout=pipe, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(pipe)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_pipe_that_breaks_elsewhere_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.run(raising(BrokenPipeError(32, "Broken pipe"))) == 1  # type: ignore[arg-type]
    assert capsys.readouterr().err == "clip2scene: error: Broken pipe\n"


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(terminal.DEBUG_VARIABLE, "1")
    assert terminal.run(raising(ZeroDivisionError("oh"))) == 1  # type: ignore[arg-type]
    assert "Traceback" in capsys.readouterr().err


def test_every_extra_that_an_error_names_exists(project: Path) -> None:
    import configparser

    setup = configparser.ConfigParser()
    setup.read(project / "setup.cfg")
    assert set(terminal.EXTRAS.values()) <= set(setup["options.extras_require"])
