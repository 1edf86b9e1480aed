"""collect_node with `calibration.source: tf`: what a vehicle says of itself comes late, wrong, and in the end right."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf2_build
from collect_peer import CAMERAS, PERIOD_NS, Vehicle, stamp_of_scan, write_seen
from conftest import until
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo
from small_street import BASE_FROM_CAMERA, BASE_FROM_LIDAR, CAMERA, START_NS
from std_msgs.msg import Header

from clip2scene_ros.frame import Array
from clip2scene_ros.geometry import quaternion_from_matrix
from clip2scene_ros.io.shards import ShardReader
from clip2scene_ros.nodes.process import RunningNode, ros_arguments

SCANS = 40
LATE_NS = 20_000_000
"""Images are taken so long after their scans."""
SPEED_M_S = 10.0
READY_S = 90.0


@pytest.fixture(scope="module")
def tf2_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what makes tf2_msgs importable: nothing where ROS has it, else what was built of it just now."""
    if importlib.util.find_spec("tf2_msgs") is not None:
        return ""
    try:
        path = tf2_build.build(tmp_path_factory.mktemp("tf2"))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"tf2_msgs absent, and it cannot be built: {str(getattr(error, 'stderr', '') or error)[-200:]}")
    sys.path.append(path)
    return path


def world_from_base(stamp_ns: int) -> Array:
    """Drive straight ahead, turning slowly."""
    seconds = (stamp_ns - START_NS) / 1e9
    c, s, pose = np.cos(0.3 * seconds), np.sin(0.3 * seconds), np.eye(4)
    pose[:2, :2], pose[0, 3] = [[c, -s], [s, c]], SPEED_M_S * seconds
    return pose


def stamped(parent: str, child: str, pose: Array, i: int = 0, scale: float = 1.0) -> TransformStamped:
    """Return a transform at the stamp of scan i; a scale makes its quaternion none."""
    x, y, z, w = (float(value) * scale for value in quaternion_from_matrix(pose))
    move = Vector3(x=float(pose[0, 3]), y=float(pose[1, 3]), z=float(pose[2, 3]))
    header = Header(stamp=stamp_of_scan(i), frame_id=parent)
    return TransformStamped(
        header=header,
        child_frame_id=child,
        transform=Transform(translation=move, rotation=Quaternion(x=x, y=y, z=z, w=w)),
    )


class TfVehicle(Vehicle):
    """A vehicle that tells where its sensors are."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._kind: Any = importlib.import_module("tf2_msgs.msg").TFMessage
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.static = self.node.create_publisher(self._kind, "/tf_static", latched)
        self.moving = self.node.create_publisher(self._kind, "/tf", 10)
        self.infos = {c: self.node.create_publisher(CameraInfo, f"/{c}/camera_info", 10) for c in CAMERAS}

    def heard(self) -> bool:
        """Return whether the node subscribes to everything."""
        others = (self.static, self.moving, *self.infos.values())
        return super().heard() and all(p.get_subscription_count() for p in others)

    def mount(self, name: str, pose: Array, scale: float = 1.0) -> None:
        """Say where a sensor sits."""
        self.static.publish(self._kind(transforms=[stamped("base_link", name, pose, scale=scale)]))

    def drive(self, first: int, last: int) -> None:
        """Say where the vehicle is, from scan to scan."""
        poses = [world_from_base(START_NS + i * PERIOD_NS) for i in range(first, last)]
        self.moving.publish(
            self._kind(transforms=[stamped("odom", "base_link", p, first + i) for i, p in enumerate(poses)])
        )

    def tell(self, camera: str, focal: float = 1.0) -> None:
        """Publish a camera_info."""
        matrix = CAMERA.matrix.copy()
        matrix[0, 0] *= focal
        header = Header(stamp=stamp_of_scan(0), frame_id=camera)
        info = CameraInfo(header=header, width=CAMERA.width, height=CAMERA.height, distortion_model="plumb_bob")
        info.k, info.d = [float(value) for value in matrix.ravel()], [0.0] * 5
        self.infos[camera].publish(info)

    def problems(self) -> str:
        """Return what keeps images from being placed, in one text."""
        return "; ".join(value for key, value in self.report.items() if key.startswith("problem."))


@pytest.fixture
def vehicle(tf2_path: str, context: Context, spin: Callable[[Node], None]) -> TfVehicle:
    vehicle = TfVehicle(context)
    spin(vehicle.node)
    return vehicle


@pytest.fixture
def node(tf2_path: str, tmp_path: Path) -> Any:
    """Start the node in a process of its own."""
    parameters: dict[str, object] = {
        "folder": str(tmp_path / "shards"),
        "cameras": ", ".join(CAMERAS),
        "calibration.source": "tf",
        "teacher": str(write_seen(tmp_path / "seen", SCANS, LATE_NS)),
        "choice.min_interval_s": 0.0,
        "choice.min_motion_m": 0.0,
        "shards.min_free_gb": 0.0,
        "sync.wait_ms": 5000.0,  # this drive pauses after each scan: no camera is to be called silent for that
        "sync.silent_periods": 1000.0,
        "diagnostics.period_s": 0.1,
        "points.reliability": "reliable",
        "images.reliability": "reliable",
        "worker.nice": 0,
    }
    log = tmp_path / "node.log"
    command = [sys.executable, "-m", "clip2scene_ros.nodes.collect", *ros_arguments(parameters, {})]
    path = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH", ""), tf2_path) if part)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": path},
        )
    running = RunningNode(process, log)
    yield running
    running.stop()


def test_calibration_that_is_missing_or_wrong_is_told_counted_and_taken_when_it_comes(
    node: RunningNode, vehicle: TfVehicle, tmp_path: Path
) -> None:
    until(
        lambda: node.check() is None and vehicle.heard() and vehicle.report.get("state") == "active", "active", READY_S
    )

    def send(i: int, reasons: dict[str, int]) -> None:
        vehicle.send(i, late_ns=LATE_NS)
        names = [f"images_left_out.{camera}: {reason}" for camera in CAMERAS for reason in reasons]
        wanted = [count for _ in CAMERAS for count in reasons.values()]
        until(lambda: vehicle.counts(*names) == wanted, f"scan {i}: {reasons}, {vehicle.report}")

    send(0, {"no_camera_info": 1})
    until(lambda: "cam_front/camera_info" in vehicle.problems(), "the missing camera_info is named")
    assert vehicle.levels[-1][0] == 1
    assert "camera_info" in vehicle.levels[-1][1]
    vehicle.tell("cam_front", float("nan"))
    until(lambda: vehicle.counts("refused.cam_front.camera_info.not_finite") == [1], "NaN is counted")
    for camera in CAMERAS:
        vehicle.tell(camera)
    until(lambda: "camera_info" not in vehicle.problems() and "joins cam_left" in vehicle.problems(), "both are known")
    send(1, {"no_camera_info": 1, "no_transform": 1})
    vehicle.mount("cam_front", BASE_FROM_CAMERA, scale=2.0)
    until(lambda: vehicle.counts("refused.transform.not_unit") == [1], "what is no rotation is counted")
    for name, pose in (("lidar_top", BASE_FROM_LIDAR), *((camera, BASE_FROM_CAMERA) for camera in CAMERAS)):
        vehicle.mount(name, pose)
    until(
        lambda: "joins odom" in vehicle.problems() and "joins cam" not in vehicle.problems(), "only the way is missing"
    )
    send(2, {"no_camera_info": 1, "no_transform": 1, "no_pose": 1})
    assert vehicle.counts("dropped.too_few_views", "kept") == [3, 0]
    vehicle.drive(0, 30)
    until(lambda: vehicle.report["ego_motion"] == "tf from odom" and not vehicle.problems(), "all is known")
    for i in range(3, 6):
        vehicle.send(i, late_ns=LATE_NS)
    until(lambda: vehicle.counts("kept") == [3], f"three are kept: {vehicle.report}")
    until(lambda: vehicle.levels[-1][0] == 0, "all is well")
    vehicle.send(39, late_ns=LATE_NS)  # the way does not reach so far
    until(lambda: vehicle.counts("dropped.too_few_views") == [4], "it is left out")
    assert node.stop() == 0
    check_records(tmp_path / "shards")


def check_records(folder: Path) -> None:
    """Compare with plain products of matrices."""
    records = list(ShardReader(folder))
    assert [(r.frame.scan.stamp_ns - START_NS) // PERIOD_NS for r in records] == [3, 4, 5]
    for record in records:
        at = record.frame.scan.stamp_ns
        now = world_from_base(at) @ BASE_FROM_LIDAR
        before, after = (world_from_base(at + k * PERIOD_NS) for k in (0, 1))
        then = before + LATE_NS / PERIOD_NS * (after - before)  # so little of a turn is as good as a straight line
        assert record.frame.world_from_lidar is not None
        np.testing.assert_allclose(record.frame.world_from_lidar, now, atol=1e-9)
        assert [view.name for view in record.frame.views] == list(CAMERAS)
        for view in record.frame.views:
            expected = np.linalg.inv(then @ BASE_FROM_CAMERA) @ now
            np.testing.assert_allclose(view.camera_from_lidar, expected, atol=1e-3)
            np.testing.assert_array_equal(view.camera.matrix, CAMERA.matrix)
            standing = np.linalg.inv(BASE_FROM_CAMERA) @ BASE_FROM_LIDAR
            assert np.abs(view.camera_from_lidar - standing).max() > 0.1
