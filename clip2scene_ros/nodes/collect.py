"""The live collecting node: LiDARs and cameras in, labelled frames in shards out, a lifecycle node that starts itself.

Its callbacks only hand bytes over. The teacher has a process of its own, at low priority, so that whatever drives the
vehicle, `segment_node` included, is not disturbed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from std_srvs.srv import Trigger

from clip2scene_ros.collect.collector import Collector
from clip2scene_ros.collect.config import CollectNodeConfig
from clip2scene_ros.collect.process import RecorderProcess, Settings
from clip2scene_ros.collect.rig import FileRig
from clip2scene_ros.collect.sets import RawSet
from clip2scene_ros.collect.tf_rig import TfRig
from clip2scene_ros.errors import Clip2SceneError
from clip2scene_ros.latency import percentiles
from clip2scene_ros.nodes.background import at_work
from clip2scene_ros.nodes.bulletin import Bulletin, Row
from clip2scene_ros.nodes.collect_diagnostics import Condition, age_s, disk_free_gb, is_fault, judge, rows
from clip2scene_ros.nodes.collect_dispatch import Dispatcher, start_recorder
from clip2scene_ros.nodes.collect_images import ImageWatch
from clip2scene_ros.nodes.collect_inputs import Inputs, Names, names_of, rig_of
from clip2scene_ros.nodes.lifecycle import refuse_impossible_transitions
from clip2scene_ros.nodes.living import LivingNode, Program, live
from clip2scene_ros.nodes.parameters import declare, unknown_overrides

NODE_NAME = "clip2scene_collect"
STOP_S = 5.0
"""How long a deactivation waits for the frame at hand, and for the shards."""
EXIT_STOP_S = 1.0
"""The same on Ctrl-C, where the frame at hand is given up."""

Load = Callable[[Settings], tuple[RecorderProcess, str]]


class CollectNode(LivingNode):
    """Collects what is worth keeping of its topics.

    Attributes:
        settings: the parameters.
        finished: done when the node gave up, its result says why. Spin until then.

    Raises:
        BadConfig: a parameter has a value that it may not have.
    """

    def __init__(self, load: Load = start_recorder, **node_options: Any) -> None:  # noqa: ANN401
        super().__init__(NODE_NAME, **node_options)
        refuse_impossible_transitions(self)
        self.settings = declare(self, CollectNodeConfig())
        for name in unknown_overrides(self, self.settings):
            self.get_logger().warning(f"Unknown parameter `{name}` is ignored: a typing error?")
        self.finished: Future[str] = Future()
        self._load = load
        self._failure = self._loaded = ""
        self._names: Names | None = None
        self._rig: FileRig | TfRig | None = None
        self._process: RecorderProcess | None = None
        self._dispatcher: Dispatcher | None = None
        self._inputs: Inputs | None = None
        self._images: ImageWatch | None = None
        self._heard_s, self._triggers = 0.0, 0
        self._service = self.create_service(Trigger, "~/keep", self._keep)
        period_s = self.settings.diagnostics.period_s
        self._bulletin = Bulletin(self, "collecting", period_s, self._row, is_fault)
        if self.settings.autostart:
            steady = Clock(clock_type=ClockType.STEADY_TIME)  # a simulated clock may stand still
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=steady)

    @property
    def state(self) -> str:
        """Return the lifecycle state's name: unconfigured, inactive or active."""
        if self._dispatcher is not None:
            return "active"
        return "unconfigured" if self._process is None else "inactive"

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the calibration, load the teacher, open the folder."""
        try:
            self._names = names_of(self.settings)
            self._rig = rig_of(self.settings, self._names)
            self._process, self._loaded = self._load(self._process_settings(self._names))
        except Exception as error:  # a transition has to answer, whatever went wrong
            self._release()
            text = str(error) if isinstance(error, Clip2SceneError) else f"{type(error).__name__}: {error}"
            self._failure = f"Cannot configure: {text}"
            self.check_alive()  # else it was Ctrl-C that ended it
            self.get_logger().error(self._failure)
            return TransitionCallbackReturn.FAILURE
        self.check_alive()
        self._failure = ""
        self.get_logger().info(f"Loaded {self._loaded}")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to carry sets to the teacher, and subscribe."""
        if self._process is None or self._names is None or self._rig is None:
            return TransitionCallbackReturn.ERROR
        names, rig, config = self._names, self._rig, self.settings
        settings, collector = self._process_settings(names), Collector(config, rig)
        again = partial(start_recorder, settings, self.context.ok)
        dispatcher = Dispatcher(collector, self._process, lambda: again()[0], self.get_logger())
        self._heard_s = time.monotonic()
        self._images = ImageWatch(partial(dispatcher.sizes, rig))
        on_student, on_class_set = dispatcher.add_student, dispatcher.know_student
        on_set = partial(self._take, dispatcher, self._images)
        self._inputs = Inputs(self, config, names, rig, dispatcher.tell, on_set, on_student, on_class_set)
        self._dispatcher = dispatcher
        cameras = ", ".join(names.cameras)
        text = f"Collecting `{', '.join(names.lidars)}` with {cameras} into {Path(config.folder).absolute()}"
        self.get_logger().info(text)
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, finish the frame at hand and the shards."""
        ended = self._stop("deactivated", STOP_S)
        return TransitionCallbackReturn.SUCCESS if ended else TransitionCallbackReturn.ERROR

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the teacher's process."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from whatever state."""
        self._stop("deactivated", STOP_S)
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured after a transition that raised."""
        return self.on_shutdown(state)

    def close(self) -> bool:
        """Stop at once, for the end of the process; return whether all ended in time."""
        ended = self._stop("stopped", EXIT_STOP_S, give_up=True)
        return self._release() and ended and not at_work()

    def _process_settings(self, names: Names) -> Settings:
        worker, config = self.settings.worker, self.settings
        folder = Path(config.folder).expanduser().absolute()
        return Settings(config, folder, names.lidars, worker.nice, worker.threads)

    def _stop(self, reason: str, timeout_s: float, *, give_up: bool = False) -> bool:
        inputs, self._inputs = self._inputs, None
        dispatcher, self._dispatcher = self._dispatcher, None
        if inputs is not None:
            inputs.close()
        if dispatcher is None:
            return True
        ended = dispatcher.stop(reason, timeout_s, give_up=give_up)
        self._process = dispatcher.process
        # The context is down when Ctrl-C ends the node; the log on the terminal is not.
        self.get_logger().info(f"{dispatcher.account()}")
        return ended

    def _release(self) -> bool:
        process, self._process = self._process, None
        self._names, self._rig, self._loaded = None, None, ""
        return process is None or process.close(EXIT_STOP_S)

    def _take(self, dispatcher: Dispatcher, images: ImageWatch, raw: RawSet) -> None:
        self._heard_s = time.monotonic()
        images.look(raw)
        dispatcher.add(raw)

    def _keep(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        found = -1 if self._dispatcher is None else self._dispatcher.trigger()
        response.success = found >= 0
        if self._dispatcher is None:
            response.message = f"The node is {self.state}: there is nothing to keep."
        elif found < 0:
            response.message = "No scan has come yet: there is nothing to keep."
        else:
            self._triggers += 1
            after_s = self.settings.buffer.after_s
            response.message = f"{found} frames of before are kept, and those of the next {after_s:g} s."
        return response

    def _row(self) -> Row:
        condition = self._condition()
        return Row(*judge(condition, self.settings.diagnostics.silence_s), rows(condition))

    def _condition(self) -> Condition:
        dispatcher, inputs, images = self._dispatcher, self._inputs, self._images
        free_gb = disk_free_gb(Path(self.settings.folder).expanduser())
        if dispatcher is None or inputs is None or images is None or self._rig is None:
            return Condition(self.state, self._loaded, self._failure, disk_free_gb=free_gb, triggers=self._triggers)
        return Condition(
            self.state,
            self._loaded,
            account=dispatcher.account(),
            rig=dispatcher.condition(self._rig),
            sync=inputs.sync.account(),
            waited_ms=percentiles(inputs.waited_ms),
            misfit="; ".join(inputs.sync.misfits()),
            inputs=inputs.account() | {f"images_bad.{what}": n for what, n in sorted(images.bad.items())},
            paused=dispatcher.paused,
            last_error=dispatcher.last_error,
            error_age_s=age_s(dispatcher.failed_s),
            kept_a_minute=dispatcher.kept_a_minute(),
            worker_deaths=dispatcher.deaths,
            silence_s=age_s(self._heard_s),
            disk_free_gb=free_gb,
            triggers=self._triggers,
        )

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        success = TransitionCallbackReturn.SUCCESS
        if self.trigger_configure() != success or self.trigger_activate() != success:
            self._bulletin.farewell()
            self.finished.set_result(self._failure or "Cannot activate")


def main(args: Sequence[str] | None = None) -> int:
    """Run `collect_node`; return 0 after Ctrl-C or SIGTERM, 1 when it could not start."""
    program = Program(
        "collect_node",
        NODE_NAME,
        "Collects labelled frames of LiDARs and cameras. Parameters and remaps are given the ROS way.",
        "example: collect_node --ros-args -r points:=/lidar/points -p cameras:=cam_front -p calibration.file:=rig.yaml "
        "-p folder:=drive",
    )
    return live(
        program,
        lambda stop: CollectNode(lambda settings: stop.load(partial(start_recorder, settings, rclpy.ok))),
        args,
    )


if __name__ == "__main__":
    sys.exit(main())
