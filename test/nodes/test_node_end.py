"""How `segment_node` ends: on one signal, at any moment, within two seconds and without a traceback.

What a slow machine takes for computing the end is its own affair and left out of the two seconds.
"""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import rclpy
from conftest import Listener, cloud, tiny, until
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.parameter import Parameter

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.nodes.process import RunningNode, start_node
from clip2scene_ros.nodes.segment import SegmentNode
from clip2scene_ros.nodes.stopping import Stopped

SECOND = 10**9
QUIT_S = 2.0


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_working_node_ends_within_two_seconds_without_a_traceback(
    sign: signal.Signals, listen: Callable[..., Listener], tiny_checkpoint: Path
):
    with start_node(tiny(tiny_checkpoint), namespace=sign.name) as running:
        listener = listen(f"/{sign.name}/clip2scene_segment", f"/{sign.name}/points")
        listener.meet()
        for k in range(5):
            listener.send(cloud((1 + k) * SECOND, points=30_000))
        assert_quits(running, sign)


@pytest.mark.parametrize("seed", range(4))
def test_a_starting_node_ends_within_two_seconds_without_a_traceback(seed: int, tiny_checkpoint: Path):
    rng = random.Random(seed)
    sign = (signal.SIGINT, signal.SIGTERM)[seed % 2]
    with start_node(tiny(tiny_checkpoint), namespace=f"early{seed}") as running:
        # From here on the node is loading torch, the checkpoint, or discovering others: any moment must do.
        until(lambda: in_main(running), "the process is in the node's main")
        time.sleep(rng.uniform(0.0, 1.5))
        assert_quits(running, sign)


@pytest.mark.parametrize(
    "transitions",
    [
        [],
        [Transition.TRANSITION_CONFIGURE],
        [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE],
        [Transition.TRANSITION_UNCONFIGURED_SHUTDOWN],
    ],
    ids=["unconfigured", "inactive", "active", "finalized"],
)
def test_one_sigterm_ends_it_in_every_state(
    transitions: list[int], listen: Callable[..., Listener], tiny_checkpoint: Path, request: pytest.FixtureRequest
):
    ns = request.node.callspec.id
    with start_node({**tiny(tiny_checkpoint), "autostart": False}, namespace=ns) as running:
        listener = listen(f"/{ns}/clip2scene_segment", f"/{ns}/points", labels=False)
        change = listener.node.create_client(ChangeState, f"/{ns}/clip2scene_segment/change_state")
        assert change.wait_for_service(20.0)
        for transition in transitions:
            future = change.call_async(ChangeState.Request(transition=Transition(id=transition)))
            until(future.done, f"transition {transition}")
            assert future.result().success
        assert_quits(running, signal.SIGTERM)


EARLY = """
import os, signal, sys
import rclpy
import clip2scene_ros.nodes.segment as segment

def interrupted(function):
    def call(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return function(*arguments, **options)
    return call

PLACE = interrupted(PLACE)
sys.exit(segment.main(["segment_node", "--ros-args", "-p", "segmenter.checkpoint:=CHECKPOINT"]))
"""
"""A node that gets SIGTERM just before it calls PLACE."""


@pytest.mark.parametrize("place", ["rclpy.init", "segment.SegmentNode", "segment.load_segmenter", "segment.Pipeline"])
def test_a_signal_at_an_odd_moment_of_the_start_is_not_lost(place: str, tiny_checkpoint: Path):
    script = EARLY.replace("PLACE", place).replace("CHECKPOINT", str(tiny_checkpoint))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def in_main(running: RunningNode) -> bool:
    """Return whether the process has its handler for SIGTERM: before that, signals are Python's own affair."""
    running.check()
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def computed_s(running: RunningNode) -> float:
    """Return the CPU time of a running node and of all children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return ended.ru_utime + ended.ru_stime + sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def segments(pid: int | str) -> set[str]:
    """Return the segments of DDS in shared memory that a process has mapped."""
    return set(re.findall(r"/dev/shm/fastdds_[0-9a-f]{16}\b", Path(f"/proc/{pid}/maps").read_text()))


def assert_quits(running: RunningNode, sign: signal.Signals) -> None:
    own = segments(running.process.pid) - segments("self")
    started, before_s = time.monotonic(), computed_s(running)
    os.kill(running.process.pid, sign)
    code = running.process.wait(30.0)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    took_s = time.monotonic() - started - (ended.ru_utime + ended.ru_stime - before_s)
    log = running.log_file.read_text()
    assert "Traceback" not in log, log
    assert "[ERROR]" not in log, log
    assert code == 0, log
    assert took_s < QUIT_S
    assert not [segment for segment in own if Path(segment).exists()]


@pytest.mark.parametrize("fails", [True, False])
def test_a_transition_that_a_signal_cut_off_is_not_completed(fails: bool):
    """Else rclpy logs an error: it cannot tell of a transition once the context is shut down."""
    context = rclpy.Context()
    rclpy.init(context=context)

    def load(config: SegmenterConfig) -> SimpleNamespace:
        context.shutdown()  # what a signal does
        if fails:
            raise RuntimeError("no publisher can be made")
        return SimpleNamespace(class_set=load_class_set("world"), describe=lambda: "a student")

    node = SegmentNode(load, context=context, parameter_overrides=[Parameter("autostart", value=False)])
    with pytest.raises(Stopped):
        node.trigger_configure()
