"""The process of a node from its first line to its last: arguments, signals, spinning, the way out."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future
from rclpy.utilities import remove_ros_args

from clip2scene_ros.errors import BadConfig
from clip2scene_ros.nodes.logs import RosHandler
from clip2scene_ros.nodes.stopping import Stopped, StopSignal
from clip2scene_ros.nodes.transport import shared_memory_warning, use_profile


class LivingNode(LifecycleNode):
    """A node as its process sees it.

    Attributes:
        finished: done when the node gave up.
    """

    finished: Future[str]

    def close(self) -> bool:
        """Stop at once; return whether all that it began has ended."""
        raise NotImplementedError

    def destroy_node(self) -> None:
        """Destroy the node with its state machine.

        rclpy leaves that for the end of the interpreter; where the process ends before, DDS leaves its shared memory.
        """
        self._state_machine.destroy_when_not_in_use()
        super().destroy_node()

    def check_alive(self) -> None:
        """Raise Stopped where a signal has shut the context down.

        A transition that ends after that cannot be told of, and rclpy would log an error over it.
        """
        if not self.context.ok():
            raise Stopped


@dataclass(frozen=True)
class Program:
    """What a node's executable says of itself.

    Attributes:
        executable: its name.
        node_name: of the node.
        description, epilog: what `--help` tells.
    """

    executable: str
    node_name: str
    description: str
    epilog: str

    def read(self, args: Sequence[str]) -> None:
        """Refuse what is no ROS argument; answer `--help`."""
        parser = argparse.ArgumentParser(prog=self.executable, description=self.description, epilog=self.epilog)
        try:
            parser.parse_args(remove_ros_args(args)[1:])
        except RuntimeError as error:  # rcl's own, with a text that says which argument it cannot read
            parser.error(" ".join(str(error).split()))


def live(program: Program, make: Callable[[StopSignal], LivingNode], args: Sequence[str] | None = None) -> int:
    """Make a node and spin it; return 0 after Ctrl-C or SIGTERM, 1 when it could not start.

    Args:
        program: what the executable says of itself.
        make: makes the node; what takes seconds to load goes through the signal's `load`.
        args: as `sys.argv`, which is taken where there are none.
    """
    try:
        return _live(program, make, list(sys.argv if args is None else args), StopSignal())
    except (Stopped, ExternalShutdownException):
        rclpy.try_shutdown()
        return 0


def _live(program: Program, make: Callable[[StopSignal], LivingNode], args: list[str], stop: StopSignal) -> int:
    program.read(args)
    profile = use_profile()
    stop.init_ros(args)
    node: LivingNode | None = None
    try:
        node = make(stop)
        logging.getLogger("clip2scene_ros").addHandler(RosHandler(node.get_logger()))
        if profile and (warning := shared_memory_warning()):
            node.get_logger().warning(warning)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin_until_future_complete(node.finished)
        return 1 if node.finished.done() and rclpy.ok() else 0
    except BadConfig as error:
        rclpy.logging.get_logger(program.node_name).error(str(error))
        return 1
    except Exception:
        if rclpy.ok():
            raise
        return 0  # a signal shut the context down in the middle of some call
    finally:
        _end(node)


def _end(node: LivingNode | None) -> None:
    ended = node is None or node.close()
    if node is not None:
        node.destroy_node()
    rclpy.try_shutdown()
    if not ended:
        # Neither torch nor a worker can be interrupted, and a thread inside it must not see Python take itself apart;
        # a teacher's process finishes its shards by itself when our end of the pipe is gone.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
