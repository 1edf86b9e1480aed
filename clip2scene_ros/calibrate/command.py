"""What `clip2scene calibrate` does with its options."""

from __future__ import annotations

import argparse
from pathlib import Path

from clip2scene_ros.alignment_fit import FITS, SLIPPED
from clip2scene_ros.calibrate.check import CameraCheck, check
from clip2scene_ros.calibrate.page import build_check_report, write_check_page
from clip2scene_ros.calibrate.sights import gather_sights, sizes
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.io.bags import BagReader
from clip2scene_ros.io.calibration import load_calibration, save_calibration
from clip2scene_ros.io.calibration_sources import from_kitti, from_nuscenes
from clip2scene_ros.report.evaluation import sha256_of, write_report
from clip2scene_ros.terminal import complain, say

ALL_FIT, WRONG, CANNOT_TELL = 0, 3, 4
"""Exit codes of a check: 1 and 2 are taken by failures and wrong usage."""
BELONGS_TO = {"topic": "check", "calibration": "check", "scene": "from_nuscenes", "image_size": "from_kitti"}
"""Option -> what it says nothing without."""


def calibrate_command(args: argparse.Namespace) -> int:
    """Check a bag, or convert another calibration, and return the exit code.

    Raises:
        BadBag, BadCalibration, BadConfig: whatever is wrong, before the long work where it can be.
    """
    for option, needs in BELONGS_TO.items():
        if getattr(args, option) and not getattr(args, needs):
            named, other = (f"--{name.replace('_', '-')}" for name in (option, needs))
            raise BadConfig("options", f"{named} belongs to {other}, which is not given.")
    return check_bag(args) if args.check else convert(args)


def check_bag(args: argparse.Namespace) -> int:
    """Check the cameras of a bag: print what is found, write report and page if a folder is named."""
    calibration = load_calibration(args.calibration) if args.calibration else None
    with BagReader(args.check) as bag:
        sights = gather_sights(bag, args.topic, calibration)
        wrong_size = sizes(bag)
    models = {name: (camera.width, camera.height) for name, (camera, _) in (calibration or {}).items()}
    checks = check(sights)
    if not checks and not wrong_size:
        complain("no camera could be placed: see the warnings above.")
    conclusion = conclude(checks, wrong_size)
    if args.out:
        how = {"command": args.command_line, "data_sha256": sha256_of(args.check)}
        report = build_check_report(conclusion, checks, wrong_size, **how)
        write_report(args.out / "report.json", report)
        write_check_page(args.out / "report.html", report, checks)
    width = max((len(name) for name in (*sights.of, *wrong_size)), default=0)
    for each in checks:
        say(f"{each.name:<{width}}  {each.state:<8} {each.in_words}")
    for name, (wide, tall) in wrong_size.items():
        say(f"{name:<{width}}  {SLIPPED:<8} {size_in_words((wide, tall), models.get(name))}")
    say(conclusion)
    if args.out:
        say(f"{args.out / 'report.html'}")
    return exit_code(checks, wrong_size)


def exit_code(checks: list[CameraCheck], wrong_size: dict[str, tuple[int, int]]) -> int:
    """Return 0 where every camera fits, 3 where one is wrong, 4 where none is but one cannot be told."""
    if wrong_size or any(each.state == SLIPPED for each in checks):
        return WRONG
    return ALL_FIT if checks and all(each.state == FITS for each in checks) else CANNOT_TELL


def conclude(checks: list[CameraCheck], wrong_size: dict[str, tuple[int, int]]) -> str:
    """Return one sentence: what to look at first."""
    wrong = [each for each in checks if each.state == SLIPPED]
    late = [each for each in wrong if each.cause.kind == "stamps"]
    if wrong_size:
        return f"Images of {', '.join(sorted(wrong_size))} are not of their calibration's size: mend that first."
    if len(late) > 1 and len(late) >= len(wrong) / 2 and len(late) >= len(checks) / 2:
        offsets = sorted(float(each.cause.value) for each in late)  # type: ignore[arg-type]
        return f"The clocks of cameras and LiDAR are apart by about {abs(offsets[len(offsets) // 2]):g} ms."
    if wrong:
        names = ", ".join(each.name for each in wrong)
        return f"{len(wrong)} of {len(checks)} cameras {'does' if len(wrong) == 1 else 'do'} not fit: {names}."
    unknown = [each.name for each in checks if each.state != FITS]
    if unknown or not checks:
        return f"Nothing is plainly wrong, but of {', '.join(unknown) or 'any camera'} it cannot be told."
    return f"All {len(checks)} cameras fit."


def size_in_words(size: tuple[int, int], calibrated: tuple[int, int] | None) -> str:
    """Return what is wrong with images of another size than the calibration's."""
    says = (
        f", the calibration says {calibrated[0]} x {calibrated[1]}"
        if calibrated
        else ", its camera_info says otherwise"
    )
    return f"its images are {size[0]} x {size[1]} px{says}"


def convert(args: argparse.Namespace) -> int:
    """Write a vehicle's calibration file from nuScenes tables or a KITTI file."""
    if args.out is None:
        raise BadConfig("output", "A converted calibration needs a file: --out vehicle.yaml")
    out: Path = args.out
    if out.exists() and not args.overwrite:
        raise BadConfig("exists", f"{out} exists: choose another name, or pass --overwrite to replace it.")
    if args.from_nuscenes:
        rig, lidar = from_nuscenes(args.from_nuscenes, args.scene), "lidar_top"
    else:
        rig, lidar = from_kitti(args.from_kitti, args.image_size), "velodyne"
    save_calibration(out, rig, lidar_frame=lidar)
    say(f"{out}: {', '.join(rig)}, against {lidar}")
    return ALL_FIT
