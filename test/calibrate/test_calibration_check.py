"""Every likely cause, really made on images drawn for it: the check names it, and blames nothing where all is right."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import clip2scene
from test_alignment import CAMERA, CAMERA_FROM_LIDAR, on_ball, scan_of_balls

from clip2scene_ros import cli
from clip2scene_ros.alignment import turned
from clip2scene_ros.alignment_fit import FITS, SLIPPED, UNKNOWN
from clip2scene_ros.calibrate.check import CameraCheck, Sights, check
from clip2scene_ros.frame import NS_PER_S, CameraModel, Frame, View
from clip2scene_ros.geometry import Trajectory, invert, unproject
from clip2scene_ros.io import bags
from clip2scene_ros.io.calibration import save_calibration
from clip2scene_ros.io.image import encode_jpeg
from clip2scene_ros.io.pointcloud import pack_points

SCAN = scan_of_balls()
LEFT_FROM_LIDAR = turned("roll", 0.3) @ turned("yaw", 0.2) @ CAMERA_FROM_LIDAR
BENT = CameraModel(400, 225, CAMERA.matrix, "plumb_bob", np.array([-0.3, 0.1, 0.0, 0.0]))
TURNS_DEG_S = 30.0
Rig = dict[str, tuple[CameraModel, np.ndarray]]
RIGHT: Rig = {"front": (CAMERA, CAMERA_FROM_LIDAR), "left": (CAMERA, LEFT_FROM_LIDAR)}


def drawn(camera: CameraModel, camera_from_lidar: np.ndarray) -> np.ndarray:
    """The image that such a camera takes of the balls, whose distance does not matter to a camera at the LiDAR."""
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = unproject(np.stack([u.ravel(), v.ravel()], axis=1), camera) @ camera_from_lidar[:3, :3]
    azimuth, elevation = (
        np.degrees(np.arctan2(rays[:, 1], rays[:, 0])),
        np.degrees(np.arctan2(rays[:, 2], np.hypot(rays[:, 0], rays[:, 1]))),
    )
    gray = np.where(on_ball(azimuth, elevation), 40, 200).astype(np.uint8).reshape(camera.height, camera.width)
    noise = np.random.default_rng(4).integers(0, 12, gray.shape, dtype=np.uint8)
    return np.repeat((gray + noise)[:, :, None], 3, axis=2)


def heading(stamp_ns: int) -> np.ndarray:
    pose = np.eye(4)
    angle = np.radians(TURNS_DEG_S) * stamp_ns / NS_PER_S
    pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return pose


def sights(true: Rig, calibrated: Rig, late_s: float = 0.0) -> Sights:
    """Eight scans on a vehicle that turns, with images exposed up to 50 ms after them, stamped `late_s` too late."""
    stamps = np.arange(-5, 30) * NS_PER_S // 10
    way = Trajectory(stamps, np.stack([heading(int(at)) for at in stamps]))
    found = Sights()
    for k in range(8):
        at = k * NS_PER_S // 10
        exposed = at + k * 6_000_000
        stamp = exposed + int(late_s * NS_PER_S)
        views = []
        for name, (camera, placed) in true.items():
            image = drawn(camera, placed @ invert(heading(exposed)) @ heading(at))
            model, standing = calibrated[name]
            views.append(View(name, image, model, standing @ invert(way.at(stamp)) @ way.at(at), stamp))
        found.add(Frame(replace(SCAN, stamp_ns=at), tuple(views), heading(at)), way, true)
    return found


def verdicts(true: Rig, calibrated: Rig, late_s: float = 0.0) -> dict[str, CameraCheck]:
    return {each.name: each for each in check(sights(true, calibrated, late_s))}


def test_a_right_calibration_fits() -> None:
    found = verdicts(RIGHT, RIGHT)
    assert [each.state for each in found.values()] == [FITS, FITS]
    assert all(each.cause.kind == "as calibrated" and each.mended is None for each in found.values())


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        ((CAMERA, turned("yaw", -1.0 * np.pi / 180) @ CAMERA_FROM_LIDAR), "turned", r"1.0° to the left \(yaw\)"),
        ((CAMERA, turned("pitch", 1.5 * np.pi / 180) @ CAMERA_FROM_LIDAR), "turned", r"1.5° up \(pitch\)"),
        ((CAMERA, turned("roll", 4.0 * np.pi / 180) @ CAMERA_FROM_LIDAR), "turned", r"4.0° leaning left \(roll\)"),
        ((CAMERA, invert(CAMERA_FROM_LIDAR)), "inverted", "target and source are swapped"),
        (
            (replace(CAMERA, matrix=np.diag([0.8, 0.8, 1]) @ CAMERA.matrix), CAMERA_FROM_LIDAR),
            "intrinsics",
            "0.8 times",
        ),
        ((BENT, CAMERA_FROM_LIDAR), "distortion", "rectified already"),
    ],
)
def test_the_cause_is_named_and_the_other_camera_is_not_blamed(
    wrong: tuple[CameraModel, np.ndarray], kind: str, words: str
) -> None:
    found = verdicts(RIGHT, {**RIGHT, "front": wrong})
    assert (found["front"].state, found["front"].cause.kind) == (SLIPPED, kind)
    assert found["left"].state == FITS
    assert re.search(words, found["front"].in_words)
    mended = found["front"].mended
    assert mended is not None
    view = found["front"].view
    assert view is not None
    rays = np.random.default_rng(0).uniform([8, -2, -1], [12, 2, 1], (50, 3))
    here = CAMERA_FROM_LIDAR @ invert(heading(view.stamp_ns)) @ heading(7 * NS_PER_S // 10)
    moved = mended[1][:3, :3] @ rays.T
    assert np.abs(moved - here[:3, :3] @ rays.T).max() < 0.15  # metres at 10 m: under a degree


def test_two_cameras_mixed_up_are_both_named() -> None:
    found = verdicts(RIGHT, {"front": RIGHT["left"], "left": RIGHT["front"]})
    assert {name: each.cause.value for name, each in found.items()} == {"front": "left", "left": "front"}
    assert all(each.cause.kind == "swapped" for each in found.values())


def test_stamps_that_are_late_are_told_in_milliseconds() -> None:
    found = verdicts(RIGHT, RIGHT, late_s=0.1)
    assert [(each.cause.kind, each.cause.value) for each in found.values()] == [("stamps", -100)] * 2
    assert "100 ms earlier than their stamps say" in found["front"].in_words


def test_distortion_that_is_not_applied_is_seen() -> None:
    true = {**RIGHT, "front": (BENT, CAMERA_FROM_LIDAR)}
    found = verdicts(true, RIGHT)
    assert found["front"].cause.kind == "distortion"
    assert found["front"].cause.value == pytest.approx(-0.3, abs=0.11)
    assert found["left"].state == FITS


def test_images_without_edges_cannot_be_told() -> None:
    some = sights(RIGHT, RIGHT)
    plain = Sights()
    for sight in some.of["front"]:
        view = View("front", np.full((225, 400, 3), 90, np.uint8), CAMERA, CAMERA_FROM_LIDAR, sight.stamp_ns)
        plain.add(Frame(replace(SCAN, stamp_ns=sight.scan_stamp_ns), (view,)), None, ["front"])
    (found,) = check(plain)
    assert found.state == UNKNOWN
    assert "cannot tell" in found.in_words


def write_drive(path: Path, *, turned_deg: float = 0.0, size: tuple[int, int] = (400, 225)) -> None:
    """A vehicle that stands; its camera_info may be of another size."""
    base_from_camera = invert(turned("yaw", np.radians(-turned_deg)) @ CAMERA_FROM_LIDAR)
    jpeg = encode_jpeg(drawn(CAMERA, CAMERA_FROM_LIDAR), 95)
    camera = CameraModel(*size, CAMERA.matrix)
    with bags.BagWriter(path) as bag:
        mounts = [("base_link", "lidar", np.eye(4)), ("base_link", "cam", base_from_camera)]
        bag.write("/tf_static", bags.tf_static_message(mounts, 0), 0, latched=True)
        for k in range(8):
            at = NS_PER_S + k * NS_PER_S // 10
            bag.write("/cam/camera_info", bags.camera_info_message(camera, at, "cam"), at)
            bag.write("/cam/image/compressed", bags.compressed_image_message(jpeg, at, "cam"), at)
            bag.write("/points", bags.cloud_message(pack_points(SCAN), at, "lidar"), at)


def test_the_command_has_an_exit_code_a_page_and_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag, out = tmp_path / "right.mcap", tmp_path / "check"
    write_drive(bag)
    assert cli.main(["calibrate", "--check", str(bag), "--out", str(out)]) == 0
    assert "All 1 cameras fit." in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert report["format"] == "clip2scene-calibration/1"
    assert report["cameras"]["cam"]["state"] == "fits"
    page = (out / "report.html").read_text()
    assert "All 1 cameras fit." in page
    assert "<script" not in page
    assert page.count("<img") == 1
    assert cli.main(["calibrate", "--check", str(bag), "--out", str(out)]) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_a_calibration_file_takes_the_place_of_the_bags_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag, right, wrong = tmp_path / "turned.mcap", tmp_path / "right.yaml", tmp_path / "other.yaml"
    write_drive(bag, turned_deg=1.5)
    assert cli.main(["calibrate", "--check", str(bag)]) == 3
    assert "1.5° to the left (yaw)" in capsys.readouterr().out
    save_calibration(right, {"cam": (CAMERA, CAMERA_FROM_LIDAR)})
    assert cli.main(["calibrate", "--check", str(bag), "--calibration", str(right)]) == 0
    save_calibration(wrong, {"back": (CAMERA, CAMERA_FROM_LIDAR)})
    assert cli.main(["calibrate", "--check", str(bag), "--calibration", str(wrong)]) == 4


def test_images_of_another_size_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_drive(tmp_path / "size.mcap", size=(800, 450))
    assert cli.main(["calibrate", "--check", str(tmp_path / "size.mcap")]) == 3
    out = capsys.readouterr().out
    assert "its images are 400 x 225 px" in out
    assert "not of their calibration's size" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--check", "bag", "--scene", "x"), "--scene belongs to --from-nuscenes"),
        (("--check", "bag", "--image-size", "9x9"), "--image-size belongs to --from-kitti"),
        (("--from-kitti", "calib.txt", "--out", "x.yaml", "--topic", "/top"), "--topic belongs to --check"),
        (("--from-nuscenes", "v1", "--out", "x.yaml", "--calibration", "y"), "--calibration belongs to --check"),
    ],
)
def test_an_option_that_would_say_nothing_is_refused(words: tuple[str, ...], said: str) -> None:
    run = clip2scene("calibrate", *words)
    assert run.returncode == 1
    assert said in run.stderr


def test_converting_writes_a_file_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "calib.txt", tmp_path / "vehicle.yaml"
    source.write_text("P2: 700 0 600 0 0 700 180 0 0 0 1 0\nTr: 0 -1 0 0 0 0 -1 0 1 0 0 0\n")
    words = ["calibrate", "--from-kitti", str(source), "--out", str(out)]
    assert cli.main(words) == 1
    assert "--image-size" in capsys.readouterr().err
    assert cli.main([*words, "--image-size", "1241x376"]) == 0
    assert "image_2" in out.read_text()
    assert cli.main([*words, "--image-size", "1241x376"]) == 1
