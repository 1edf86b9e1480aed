"""collect_node while a camera is turned on its mount: diagnostics say so; it is collected from when it is back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from builtin_interfaces.msg import Time
from collect_peer import Vehicle
from conftest import until
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from slipping_drive import (
    CAMERA,
    CAMERA_FROM_LIDAR,
    CAMERAS,
    SCAN,
    SLIPS,
    START_NS,
    STEP_M,
    STEP_NS,
    picture,
    write_seen,
)
from std_msgs.msg import Header

from clip2scene_ros.calibrate.watch import LOOKS
from clip2scene_ros.io.calibration import save_calibration
from clip2scene_ros.io.pointcloud import pack_points
from clip2scene_ros.io.shards import ShardReader
from clip2scene_ros.nodes.conversions import byte_array, cloud_message
from clip2scene_ros.nodes.process import RunningNode, ros_arguments

SCANS = 80
FROM, UNTIL = 9, 20


class SlippingVehicle(Vehicle):
    """Drives past balls before a wall."""

    def look(self, i: int) -> None:
        """Send where the vehicle is about scan i, what its cameras see, and the scan."""
        stamp = Time(sec=(START_NS + i * STEP_NS) // 10**9, nanosec=(START_NS + i * STEP_NS) % 10**9)
        for camera in CAMERAS:
            jpeg = picture(slipped=camera == SLIPS and FROM <= i < UNTIL)
            header = Header(stamp=stamp, frame_id=camera)
            self._images[camera].publish(CompressedImage(header=header, format="jpeg", data=byte_array(jpeg)))
        self._points.publish(cloud_message(pack_points(SCAN), Header(stamp=stamp, frame_id="lidar")))

    def way(self) -> None:
        """Say where the vehicle is during the whole drive."""
        for half in range(2 * SCANS):
            self.odometry(half * STEP_NS / 2 / 10**8, half * STEP_M / 2)


def start(folder: Path) -> RunningNode:
    """Start the node."""
    save_calibration(folder / "rig.yaml", dict.fromkeys(CAMERAS, (CAMERA, CAMERA_FROM_LIDAR)))
    content = yaml.safe_load((folder / "rig.yaml").read_text())
    content["lidar"]["base_from_lidar"] = np.eye(4).tolist()
    (folder / "rig.yaml").write_text(yaml.safe_dump(content))
    parameters: dict[str, object] = {
        "folder": str(folder / "shards"),
        "cameras": ", ".join(CAMERAS),
        "calibration.file": str(folder / "rig.yaml"),
        "teacher": str(write_seen(folder / "seen", SCANS)),
        "buffer.before_s": 120.0,
        "shards.min_free_gb": 0.0,
        "sync.wait_ms": 5000.0,  # this drive pauses after each scan: no camera is to be called silent for that
        "sync.silent_periods": 1000.0,
        "diagnostics.period_s": 0.1,
        "points.reliability": "reliable",
        "images.reliability": "reliable",
        "worker.nice": 0,
    }
    command = [sys.executable, "-m", "clip2scene_ros.nodes.collect", *ros_arguments(parameters, {})]
    log = folder / "node.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
    return RunningNode(process, log)


def test_a_slip_is_told_with_its_score_and_its_images_are_left_out_until_the_camera_is_back(
    context: Context, spin: Callable[[Node], None], tmp_path: Path
) -> None:
    node, vehicle = start(tmp_path), SlippingVehicle(context)
    spin(vehicle.node)
    try:
        until(
            lambda: node.check() is None and vehicle.heard() and vehicle.report.get("state") == "active", "active", 90.0
        )
        vehicle.way()
        until(lambda: vehicle.report.get("ego_motion") == "odometry", "poses are known")
        slipped: list[int] = []
        for i in range(SCANS):
            vehicle.look(i)
            until(lambda n=i + 1: vehicle.counts("kept") == [n], f"scan {i} is kept: {vehicle.report}")
            if vehicle.report.get(f"{SLIPS}.calibration", "").startswith("turned"):
                slipped.append(i)
                until(lambda: vehicle.levels[-1][0] == 1 and SLIPS in vehicle.levels[-1][1], "the level is WARN")
                assert "pitch" in vehicle.report[f"{SLIPS}.calibration"]
                assert float(vehicle.report[f"{SLIPS}.calibration_since"]) * 1e9 >= START_NS + FROM * STEP_NS
            elif slipped:
                break
        assert FROM < slipped[0] <= FROM + LOOKS[1]
        assert slipped == list(range(slipped[0], i))
        assert vehicle.report[f"{SLIPS}.calibration"] == "fits"
        assert 0 < float(vehicle.report[f"{SLIPS}.calibration_score"]) < 1
        assert vehicle.counts(f"images_left_out.{SLIPS}: slipped") == [len(slipped)]
    finally:
        assert node.stop() == 0
    views = [len(record.frame.views) for record in ShardReader(tmp_path / "shards")]
    assert views == [1 if k in slipped else 2 for k in range(i + 1)]
