"""The way of one scan through the live node.

`receive` (the subscription's callback: hands over, computes nothing) -> the worker's mailbox (the newest scan
wins) -> `_label` (parse, segment, publish) -> the ledger. No exception leaves either.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rclpy.impl.rcutils_logger import RcutilsLogger
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import SegmenterConfig, SegmentNodeConfig
from clip2scene_ros.errors import BadCloud
from clip2scene_ros.frame import Scan, Segmentation
from clip2scene_ros.io.pointcloud import clipped, parse
from clip2scene_ros.io.stamps import stamp_of
from clip2scene_ros.nodes.arrivals import ForwardJumps, LossDetector, StampOrder, loss_advice
from clip2scene_ros.nodes.ledger import Ledger, Times
from clip2scene_ros.nodes.logs import QUIET_S
from clip2scene_ros.nodes.mailbox import Worker
from clip2scene_ros.nodes.transport import PROFILE
from clip2scene_ros.share import share_file

if TYPE_CHECKING:
    from rclpy.subscription import MessageInfo

    from clip2scene_ros.student.scoring import Scorer  # torch comes with it

NO_SUBSCRIBER = "no_subscriber"
"""Drop reason of scans that were not computed because nobody listens: no fault."""


class Student(Protocol):
    """What the node needs of `student.segmenter.Segmenter`."""

    config: SegmenterConfig

    @property
    def class_set(self) -> ClassSet: ...  # noqa: D102
    def classes(self, wanted: str) -> Scorer: ...  # noqa: D102
    def set_classes(self, classes: Scorer) -> None: ...  # noqa: D102
    def segment(self, scan: Scan) -> Segmentation: ...  # noqa: D102
    def describe(self) -> str: ...  # noqa: D102


class LabelsOut(Protocol):
    """What the pipeline needs of `outputs.Outputs`."""

    def wanted(self) -> bool: ...  # noqa: D102
    def publish(self, scan: Scan, segmentation: Segmentation, header: Header) -> None: ...  # noqa: D102
    def publish_times(self, times: Times, cyclic_ms: float | None) -> None: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Delivery:
    """A cloud on its way to the worker, and when the callback got it [ns, monotonic]."""

    message: PointCloud2
    entered_ns: int


class Pipeline:
    """Labels the newest scan, in a thread of its own, from its making until `stop`.

    Attributes:
        losses: what never arrived.
        order: what arrived at odd times.
        ahead: stamps that jumped ahead.
        topic: full name of the input topic.
        started_ns: when it was made [ns, monotonic].
    """

    def __init__(
        self,
        student: Student,
        outputs: LabelsOut,
        settings: SegmentNodeConfig,
        ledger: Ledger,
        topic: str,
        logger: RcutilsLogger,
        alive: Callable[[], bool],
    ) -> None:
        """Start the worker.

        Args:
            student: labels a scan.
            outputs: publishes labels.
            settings: the node's parameters.
            ledger: where every scan is entered; it outlives this pipeline.
            topic: full name of the input topic, for texts.
            logger: the node's.
            alive: says whether ROS runs; what fails after its end (Ctrl-C) is no error.
        """
        self._student, self._outputs, self._settings, self._ledger = student, outputs, settings, ledger
        self.topic, self._logger, self._alive = topic, logger, alive
        self.started_ns = time.monotonic_ns()
        self.losses = LossDetector(settings.diagnostics.expected_rate_hz)
        self.order = StampOrder()
        self.ahead = ForwardJumps()
        self._free_ns = 0
        self._stopping = False
        self._worker: Worker[Delivery] = Worker(self._label, self._failed)

    def receive(self, message: PointCloud2, info: MessageInfo) -> None:
        """Take a cloud from the subscription; `info` is rclpy's message info."""
        delivery = Delivery(message, time.monotonic_ns())
        self._ledger.receive(delivery.entered_ns)
        try:
            reason = self._hand_over(delivery, info)
        except Exception as error:  # nothing may leave a callback: it would end the process
            self._failed(error)
        else:
            if reason:
                self._ledger.drop(reason)

    def between_scans(self, change: Callable[[], None]) -> None:
        """Have the worker change something after the scan at hand and before the next; errors are logged."""

        def safely() -> None:
            try:
                change()
            except Exception as error:  # it would end the worker
                if self._alive():
                    self._logger.error(f"Cannot change: {type(error).__name__}: {error}")

        self._worker.ask(safely)

    def stop(self, timeout_s: float) -> bool:
        """End the worker after the scan at hand, drop the one in the mailbox; return whether it ended in time."""
        self._stopping = True
        ended, left_over = self._worker.stop(timeout_s)
        if left_over is not None:
            self._ledger.drop("deactivated")
        return ended

    def _hand_over(self, delivery: Delivery, info: MessageInfo) -> str:
        """Return why a scan was dropped, this one or the one that it superseded, or an empty string."""
        stamp = stamp_of(delivery.message)
        self.ahead.arrived(stamp, delivery.entered_ns)
        sequence, publisher = info.get("publication_sequence_number"), str(info.get("publisher_gid", ""))
        if self.losses.arrived(stamp, sequence, publisher) and self.losses.due():
            qos = f"{self._settings.points.reliability}, depth {self._settings.points.depth}"
            profile = str(share_file(PROFILE))
            self._logger.warning(loss_advice(self.losses, self.topic, len(delivery.message.data), qos, profile))
        if not self._outputs.wanted():  # asked first: a scan that was not labelled may be sent again
            return NO_SUBSCRIBER
        if reason := self.order.refuse(stamp):
            return reason
        return "superseded" if self._worker.put(delivery) is not None else ""

    def _label(self, delivery: Delivery) -> None:
        """Do the worker's part. Time that an earlier scan kept the worker busy is latency, but no overhead."""
        began_ns = max(delivery.entered_ns, self._free_ns)
        try:
            scan = parse(delivery.message, self._settings.cloud)
            segmentation = self._student.segment(scan)
            self._outputs.publish(scan, segmentation, delivery.message.header)
            done_ns = time.monotonic_ns()
        finally:
            self._free_ns = time.monotonic_ns()
        times = Times(
            pipeline_ms=(done_ns - delivery.entered_ns) / 1e6,
            overhead_ms=(done_ns - began_ns) / 1e6 - segmentation.processing_ms.get("total", 0.0),
            processing_ms=segmentation.processing_ms,
        )
        cyclic_ms = self._ledger.label(times, done_ns, clipped(delivery.message, self._settings.cloud))
        try:
            self._outputs.publish_times(times, cyclic_ms)
        except Exception as error:  # the scan is labelled and closed, so it must not be counted as failed, too
            if self._alive():
                self._logger.error(f"Cannot publish times: {error}", throttle_duration_sec=QUIET_S)

    def _failed(self, error: Exception) -> None:
        if self._stopping or not self._alive():
            self._ledger.drop("deactivated")
            return
        bad_cloud = isinstance(error, BadCloud)
        reason = f"bad_cloud.{error.reason}" if isinstance(error, BadCloud) else "internal_error"
        text = f"Bad cloud on `{self.topic}`: {error}" if bad_cloud else f"{type(error).__name__}: {error}"
        self._ledger.fail(reason, text, time.monotonic_ns())
        self._logger.error(text, throttle_duration_sec=QUIET_S)
