"""The live segmentation node: PointCloud2 in, labels out, a lifecycle node that starts by itself.

torch is imported when the node configures, not when this file is: it takes seconds, and Ctrl-C must end the
process cleanly during them as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.subscription import Subscription
from rclpy.task import Future
from sensor_msgs.msg import PointCloud2

from clip2scene_ros.config import SegmenterConfig, SegmentNodeConfig
from clip2scene_ros.errors import Clip2SceneError
from clip2scene_ros.nodes.background import at_work, meanwhile, take_all
from clip2scene_ros.nodes.compatibility import QosWatch
from clip2scene_ros.nodes.diagnostics import Reporter
from clip2scene_ros.nodes.ledger import Ledger
from clip2scene_ros.nodes.lifecycle import refuse_impossible_transitions
from clip2scene_ros.nodes.living import LivingNode, Program, live
from clip2scene_ros.nodes.outputs import Outputs, qos_profile
from clip2scene_ros.nodes.parameters import declare, on_change, unknown_overrides
from clip2scene_ros.nodes.pipeline import Pipeline, Student
from clip2scene_ros.words import listed

NODE_NAME = "clip2scene_segment"
STOP_S = 5.0
"""How long a deactivation waits for the scan at hand."""

EXIT_STOP_S = 0.5
"""The same on Ctrl-C, where the process must be gone within 2 s, on a busy machine too."""


def load_segmenter(config: SegmenterConfig) -> Student:
    """Load the student; torch comes with it."""
    from clip2scene_ros import vocabulary

    return vocabulary.load_segmenter(config)


class SegmentNode(LivingNode):
    """Labels the newest scan of `points`.

    Attributes:
        settings: the parameters.
        finished: done when the node gave up, its result says why. Spin until then.

    Raises:
        BadConfig: a parameter has a value that it may not have.
    """

    def __init__(self, load: Callable[[SegmenterConfig], Student] = load_segmenter, **node_options: Any) -> None:  # noqa: ANN401
        super().__init__(NODE_NAME, **node_options)
        refuse_impossible_transitions(self)
        self.settings = declare(self, SegmentNodeConfig())
        for name in unknown_overrides(self, self.settings):
            self.get_logger().warning(f"Unknown parameter `{name}` is ignored: a typing error?")
        self.add_on_set_parameters_callback(on_change(lambda: self.settings, self._apply))
        self.finished: Future[str] = Future()
        self._load = load
        self._student: Student | None = None
        self._outputs: Outputs | None = None
        self._pipeline: Pipeline | None = None
        self._subscription: Subscription[PointCloud2] | None = None
        self._ledger = Ledger()
        self._reporter = Reporter(self, lambda: self.state, self.settings.diagnostics, self._ledger)
        if self.settings.autostart:
            steady = Clock(clock_type=ClockType.STEADY_TIME)  # a simulated clock may stand still
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=steady)

    @property
    def state(self) -> str:
        """Return the lifecycle state's name: unconfigured, inactive or active."""
        if self._pipeline is not None:
            return "active"
        return "unconfigured" if self._student is None else "inactive"

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the student and create the publishers."""
        try:
            self._student = self._load(self.settings.segmenter)
            self._outputs = Outputs(self, self.settings.labels, self._student.class_set)
            self._report_loaded(self._student)
        except Exception as error:  # a transition has to answer, whatever went wrong
            self._release()
            text = str(error) if isinstance(error, Clip2SceneError) else f"{type(error).__name__}: {error}"
            self._reporter.failure = f"Cannot configure: {text}"
            self.check_alive()  # else it was Ctrl-C that ended it
            self.get_logger().error(self._reporter.failure)
            return TransitionCallbackReturn.FAILURE
        self.check_alive()
        self._reporter.failure = ""
        self.get_logger().info(f"Loaded {self._reporter.loaded}")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker and subscribe."""
        if self._student is None or self._outputs is None:
            return TransitionCallbackReturn.ERROR
        topic = self.resolve_topic_name("points")
        pipeline = Pipeline(
            self._student, self._outputs, self.settings, self._ledger, topic, self.get_logger(), self.context.ok
        )
        qos = qos_profile(self.settings.points)
        self._subscription = self.create_subscription(PointCloud2, "points", pipeline.receive, qos)
        self._reporter.watch = QosWatch(self, qos, qos_profile(self.settings.labels))
        # Last, since from now on the node says that it is active.
        self._pipeline = self._reporter.pipeline = pipeline
        labels = self.resolve_topic_name("~/labels")
        self.get_logger().info(f"Labelling `{topic}` ({self.settings.points.reliability}); labels on `{labels}`")
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and let the worker finish the scan at hand."""
        return TransitionCallbackReturn.SUCCESS if self._stop(STOP_S) else TransitionCallbackReturn.ERROR

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the publishers down and forget the student."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from whatever state."""
        self._stop(STOP_S)
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured after a transition that raised."""
        return self.on_shutdown(state)

    def close(self) -> bool:
        """Stop at once, for the end of the process; return whether the worker could end in time."""
        ended = self._stop(EXIT_STOP_S)
        if ended:  # else the worker still uses the publishers
            self._release()
        return ended and not at_work()

    def _stop(self, timeout_s: float) -> bool:
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
        pipeline, self._pipeline, self._subscription = self._pipeline, None, None
        self._reporter.pipeline = self._reporter.watch = None
        return pipeline is None or pipeline.stop(timeout_s)

    def _release(self) -> None:
        if self._outputs is not None:
            self._outputs.destroy()
        self._outputs = self._student = None
        self._reporter.loaded, self._reporter.class_set = "", None

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        success = TransitionCallbackReturn.SUCCESS
        if self.trigger_configure() != success or self.trigger_activate() != success:
            self._reporter.bulletin.farewell()
            self.finished.set_result(self._reporter.failure or "Cannot activate")

    def _apply(self, settings: SegmentNodeConfig, names: Collection[str]) -> None:
        """Take new settings; other classes are made ready first, so that where they cannot be had nothing changes."""
        if self._student is not None:
            if "segmenter.class_set" in names:
                self._change_classes(self._student, settings.segmenter.class_set)
            self._student.config = settings.segmenter
        self.settings = settings

    def _change_classes(self, student: Student, wanted: str) -> None:
        """Exchange the classes between two scans. The worker does it, so that no label comes before its class set."""
        pipeline, subscription = self._pipeline, self._subscription
        if pipeline is None or subscription is None:
            classes = student.classes(wanted)
        else:
            clouds = partial(take_all, subscription, pipeline.receive)
            classes = meanwhile(lambda: student.classes(wanted), clouds, self.context.ok)

        def change() -> None:
            student.set_classes(classes)
            if self._outputs is not None:
                self._outputs.announce(student.class_set)
            self._report_loaded(student)
            self.get_logger().info(f"Classes: {listed(student.class_set.names)}")

        if pipeline is None:
            change()
        else:
            pipeline.between_scans(change)

    def _report_loaded(self, student: Student) -> None:
        self._reporter.loaded, self._reporter.class_set = student.describe(), student.class_set


def main(args: Sequence[str] | None = None) -> int:
    """Run `segment_node`; return 0 after Ctrl-C or SIGTERM, 1 when it could not start."""
    program = Program(
        "segment_node",
        NODE_NAME,
        "Labels the points of a LiDAR topic. Parameters and remaps are given the ROS way.",
        "example: segment_node --ros-args -r points:=/lidar/points -p segmenter.checkpoint:=student.safetensors",
    )
    return live(program, lambda stop: SegmentNode(lambda config: stop.load(partial(load_segmenter, config))), args)


if __name__ == "__main__":
    sys.exit(main())
