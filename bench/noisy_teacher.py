"""Label images of a known worth for a drive of the synthetic world, to try `clip2scene label --teacher` with.

clip2scene world drive.mcap --seed 100003 --seconds 2
python bench/noisy_teacher.py drive.mcap noisy --error 0.1
clip2scene label drive.mcap --out labels --teacher noisy
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.frame import Frame, Scan
from clip2scene_ros.io.bags import BagReader
from clip2scene_ros.teacher.label_folder import write_classes, write_teacher_image
from clip2scene_training.noisy_truth import NoisyTruth
from clip2scene_training.world.bag import KEY_FRAMES_HZ
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.drive import Drive

NOTHING = Scan(np.zeros((0, 3), np.float32), np.zeros(0, np.float32))


def main() -> None:
    """Write a label image for each image of the drive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path, help="written by `clip2scene world` with its usual settings")
    parser.add_argument("out", type=Path, help="folder of label images")
    parser.add_argument("--error", type=float, default=0.1, help="share of the pieces that are wrong")
    parser.add_argument("--seed", type=int, default=0, help="of the errors")
    args = parser.parse_args()
    with BagReader(args.bag) as bag:
        made = bag.world()
    if made is None or "settings" in made:
        parser.error(f"{args.bag} is no drive of the world with its usual settings")
    config = replace(WorldConfig(), duration_s=float(made["seconds"]), image_hz=KEY_FRAMES_HZ)
    drive, teacher = Drive(made["seed"], config), NoisyTruth(load_class_set("world"), args.error, args.seed)
    write_classes(args.out, teacher.class_set)
    for camera in range(len(config.cameras)):
        for stamp_ns in map(int, drive.image_stamps_ns(camera)):
            view = drive.view(camera, stamp_ns, stamp_ns)
            (seen,) = teacher.see(Frame(NOTHING, (view,)))
            if seen is not None:
                write_teacher_image(args.out, view.name, stamp_ns, *seen.labels())
    print(f"{args.out}: {teacher.describe()}")


if __name__ == "__main__":
    main()
