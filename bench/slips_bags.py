"""Drives whose calibration is made wrong on purpose, each in one way, for `slips.py causes` and the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clip2scene_ros.alignment import turned
from clip2scene_ros.frame import Array, CameraModel
from clip2scene_ros.geometry import compose, invert, pose_from_quaternion
from clip2scene_ros.io import bags
from clip2scene_ros.io.bag_calibration import TF_STATIC
from clip2scene_ros.io.calibration import camera_from_info

BASE, LIDAR, MARK = "base_link", "lidar_top", "cam_front_left"
"""The camera that is made wrong, where it is one."""

Rig = dict[str, tuple[CameraModel, Array]]
"""Camera name -> model and base_from_camera."""


@dataclass(frozen=True)
class Fault:
    """One way to be wrong.

    Attributes:
        kind: of cause that the check should name.
        cameras: names of the cameras that are wrong; empty means all.
        change: makes a rig wrong, given base_from_lidar.
        late_ms: what is added to every image's stamp.
    """

    kind: str
    cameras: tuple[str, ...] = (MARK,)
    change: Callable[[Rig, Array], Rig] = lambda rig, base_from_lidar: rig
    late_ms: float = 0.0


def _turn(axis: str, degrees: float) -> Callable[[Rig, Array], Rig]:
    """Return a change after which the camera is really turned by so much from its calibration."""

    def change(rig: Rig, base_from_lidar: Array) -> Rig:
        camera, base_from_camera = rig[MARK]
        wrong = base_from_camera @ turned(axis, np.radians(degrees))
        return {**rig, MARK: (camera, wrong)}

    return change


def _shift(metres: float) -> Callable[[Rig, Array], Rig]:
    def change(rig: Rig, base_from_lidar: Array) -> Rig:
        camera, base_from_camera = rig[MARK]
        moved = base_from_camera.copy()
        moved[:3, 3] += metres * base_from_camera[:3, 0]
        return {**rig, MARK: (camera, moved)}

    return change


def _inverted(rig: Rig, base_from_lidar: Array) -> Rig:
    camera, base_from_camera = rig[MARK]
    camera_from_lidar = compose(invert(base_from_camera), base_from_lidar)
    return {**rig, MARK: (camera, compose(base_from_lidar, camera_from_lidar))}


def _swapped(rig: Rig, base_from_lidar: Array) -> Rig:
    return {**rig, MARK: rig["cam_back_left"], "cam_back_left": rig[MARK]}


def _camera(change_camera: Callable[[CameraModel], CameraModel]) -> Callable[[Rig, Array], Rig]:
    def change(rig: Rig, base_from_lidar: Array) -> Rig:
        camera, pose = rig[MARK]
        return {**rig, MARK: (change_camera(camera), pose)}

    return change


def _scaled(factor: float) -> Callable[[CameraModel], CameraModel]:
    return lambda camera: replace(camera, matrix=np.diag([factor, factor, 1.0]) @ camera.matrix)


def _bare(camera: CameraModel) -> CameraModel:
    return replace(camera, distortion_model="none", distortion=np.zeros(0))


FAULTS: Mapping[str, Fault] = {
    "nothing": Fault("as calibrated", ("none",)),
    "yaw 1": Fault("turned", change=_turn("yaw", 1.0)),
    "pitch -1": Fault("turned", change=_turn("pitch", -1.0)),
    "roll 2": Fault("turned", change=_turn("roll", 2.0)),
    "yaw 10": Fault("turned", change=_turn("yaw", 10.0)),
    "shifted 0.5 m": Fault("shifted", change=_shift(0.5)),
    "inverted": Fault("inverted", change=_inverted),
    "swapped": Fault("swapped", (MARK, "cam_back_left"), _swapped),
    "size": Fault(
        "size",
        change=_camera(lambda c: replace(c, width=c.width // 2, height=c.height // 2, matrix=_scaled(0.5)(c).matrix)),
    ),
    "matrix of a larger image": Fault("intrinsics", change=_camera(_scaled(0.8))),
    "focal length": Fault(
        "intrinsics",
        change=_camera(
            lambda c: replace(
                c,
                matrix=np.diag([1.25, 1.25, 1.0]) @ c.matrix
                - np.array([[0, 0, 0.25 * c.matrix[0, 2]], [0, 0, 0.25 * c.matrix[1, 2]], [0, 0, 0]]),
            )
        ),
    ),
    "rectified already": Fault(
        "distortion",
        change=_camera(
            lambda c: replace(c, distortion_model="plumb_bob", distortion=np.array([-0.3, 0.1, 0.0, 0.0, 0.0]))
        ),
    ),
    "stamps 150 ms late": Fault("stamps", (), late_ms=150.0),
}
DISTORTED = {
    "distortion not applied": Fault("distortion", change=_camera(_bare)),
    "distortion, nothing wrong": Fault("as calibrated", ("none",)),
}
"""For a drive whose lenses are distorted."""


def spoil(source: Path, target: Path, fault: Fault) -> None:
    """Write a bag of the world with its calibration or stamps made wrong."""
    with bags.BagReader(source) as bag:
        rig, base_from_lidar, infos = _rig(bag)
        wrong = fault.change(rig, base_from_lidar)
        mounts = [(BASE, LIDAR, base_from_lidar), *((BASE, name, pose) for name, (_, pose) in wrong.items())]
        late_ns = round(fault.late_ms * 1e6)
        with bags.BagWriter(target, overwrite=True) as out:
            for topic, kind, stamp_ns, data in bag.raw():
                latched = topic in bag.latched
                if topic == TF_STATIC:
                    out.write(topic, bags.tf_static_message(mounts, stamp_ns), stamp_ns, latched=True)
                elif topic.endswith("/camera_info"):
                    name = infos[topic]
                    out.write(topic, bags.camera_info_message(wrong[name][0], stamp_ns, name), stamp_ns)
                elif late_ns and topic.endswith("/compressed"):
                    message = bag.decode(topic, kind, data)
                    late = bags.compressed_image_message(
                        bytes(message.data), bags.stamp_of(message) + late_ns, message.header.frame_id
                    )
                    out.write(topic, late, stamp_ns)
                else:
                    out.write_raw(topic, kind, data, stamp_ns, latched=latched, types=bag.types)


def _rig(bag: bags.BagReader) -> tuple[Rig, Array, dict[str, str]]:
    poses, models, infos = {}, {}, {}
    for topic, kind, _, data in bag.raw():
        if topic == TF_STATIC:
            for stamped in bag.decode(topic, kind, data).transforms:
                move, turn = stamped.transform.translation, stamped.transform.rotation
                poses[stamped.child_frame_id] = pose_from_quaternion(
                    (move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w)
                )
        elif topic.endswith("/camera_info") and topic not in infos:
            message = bag.decode(topic, kind, data)
            infos[topic] = message.header.frame_id
            models[message.header.frame_id] = camera_from_info(message)
    return {name: (model, poses[name]) for name, model in models.items()}, poses[LIDAR], infos
