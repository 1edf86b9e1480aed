"""Starts a live node as a process of its own, and tells why when it dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from clip2scene_ros.errors import NodeFailed
from clip2scene_ros.nodes.transport import use_profile

STOP_S = 5.0
LOG_TAIL_LINES = 15
SEGMENT = "clip2scene_ros.nodes.segment"
COLLECT = "clip2scene_ros.nodes.collect"


class RunningNode:
    """A live node in a process of its own.

    Attributes:
        process: the process.
        log_file: what it wrote.
    """

    def __init__(self, process: subprocess.Popen[bytes], log_file: Path) -> None:
        self.process = process
        self.log_file = log_file

    def check(self) -> None:
        """Raise NodeFailed, with the end of its log, when the node has ended."""
        code = self.process.poll()
        if code is not None:
            raise NodeFailed("node_died", f"The node ended with exit code {code}. Its log ends:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """Return the last lines of the log."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:]) or "(the log is empty)"

    def stop(self, sign: signal.Signals = signal.SIGINT) -> int:
        """Ask the node to end, kill it when it does not; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def ros_arguments(parameters: Mapping[str, object], remaps: Mapping[str, str], namespace: str = "") -> list[str]:
    """Return the `--ros-args` for a node; text is quoted so that YAML reads it as text."""
    arguments = ["--ros-args"]
    for name, value in parameters.items():
        text = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value).lower()
        arguments += ["-p", f"{name}:={text}"]
    for source, target in remaps.items():
        arguments += ["-r", f"{source}:={target}"]
    return arguments + (["-r", f"__ns:=/{namespace.strip('/')}"] if namespace else [])


@contextmanager
def start_node(
    parameters: Mapping[str, object] | None = None,
    remaps: Mapping[str, str] | None = None,
    *,
    namespace: str = "",
    log_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    module: str = SEGMENT,
) -> Iterator[RunningNode]:
    """Run the live node in a process of its own while the block runs, and end it with SIGINT.

    Args:
        parameters: parameter name -> value.
        remaps: topic -> topic.
        namespace: put before the node's name and topics.
        log_file: gets what the node writes; None makes a temporary file that goes when the block ends.
        environment: of the process; None takes ours.
        module: which node; `COLLECT` is the other one.
    """
    use_profile()
    command = [sys.executable, "-m", module]
    command += ros_arguments(parameters or {}, remaps or {}, namespace)
    with tempfile.TemporaryDirectory(prefix="clip2scene-node-") as folder:
        path = log_file or Path(folder) / "node.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        node = RunningNode(process, path)
        try:
            yield node
        finally:
            node.stop()
