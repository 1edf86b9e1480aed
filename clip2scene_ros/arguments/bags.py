"""The sub-commands that label a bag's clouds, or judge and keep such labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clip2scene_ros.arguments.shared import add_bag, add_overwrite, add_settings, command
from clip2scene_ros.collect.arguments import add_collect_options
from clip2scene_ros.compare.arguments import add_checkpoints, add_compare_options
from clip2scene_ros.label.arguments import add_label_options


def add_bag_commands(commands: Any) -> None:  # noqa: ANN401 - argparse does not publish the type of sub-parsers
    """Add `segment`, `evaluate`, `compare`, `label` and `collect`."""
    _add_segment(commands)
    _add_evaluate(commands)
    _add_compare(commands)
    _add_label(commands)
    _add_collect(commands)


def _add_segment(commands: Any) -> None:  # noqa: ANN401
    parser = command(
        commands,
        "segment",
        "label every cloud of a bag into a new bag",
        "Label every cloud of a bag (rosbag2 folder, .mcap or .db3). The new bag holds the old one's messages and\n"
        "for each cloud one on /clip2scene_segment/labels (x, y, z, class_id, probability, entropy) with the same\n"
        "stamp, frame and points in the same order. /clip2scene_segment/class_set tells the names of the classes.\n"
        "After Ctrl-C the new bag holds what was labelled until then.",
        (
            "segment my_bag --out labelled.mcap",
            "segment my_bag --out labelled.mcap --topic /ouster/points --labels-only --rgb",
            "segment my_bag --out labelled.mcap --classes 'road,street;car,van;person,pedestrian'",
        ),
    )
    add_bag(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="OUT.mcap, OUT.db3 or a new folder")
    parser.add_argument("--labels-only", action="store_true", help="leave out the messages of the old bag")
    parser.add_argument("--rgb", action="store_true", help="also write /clip2scene_segment/labels_rgb, for RViz")
    add_overwrite(parser)
    add_settings(parser)


def _add_evaluate(commands: Any) -> None:  # noqa: ANN401
    parser = command(
        commands,
        "evaluate",
        "score the labels of a bag that has ground truth",
        "Segment a bag that has ground truth (/ground_truth/points) and write report.json (miou, iou per class,\n"
        "latency percentiles, hashes of data and weights, the command), report.html and evaluation.png into a folder.",
        (
            "evaluate drive.mcap --out results",
            "evaluate drive.mcap --out results --checkpoint my_student.safetensors --overwrite",
        ),
    )
    add_bag(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, made when it is not there")
    add_overwrite(parser)
    add_settings(parser)


def _add_compare(commands: Any) -> None:  # noqa: ANN401
    parser = command(
        commands,
        "compare",
        "tell which of two checkpoints is better on a drive, with ground truth or without",
        "Let two checkpoints label the same scans, in turns, and compare them: mIoU where the bag has ground truth,\n"
        "agreement with a teacher that sees the images, stability over registered scans, calibration, latency. One is\n"
        "called better only where the 95 % interval of the difference excludes 0. The folder gets report.json and\n"
        "report.html, with pictures of where the two differ most. Exit code 3: B is worse by the measure of --gate.",
        (
            "compare old.safetensors new.safetensors drive.mcap --out compared",
            "compare old.safetensors new.safetensors my_bag --out compared --teacher none --gate stability",
            "compare a.safetensors b.safetensors my_bag --out compared --teacher my_segmentations "
            "--classes 'road,street;car,van'",
        ),
    )
    add_checkpoints(parser)
    add_bag(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, made when it is not there")
    add_compare_options(parser)
    add_overwrite(parser)
    add_settings(parser, "checkpoint")


def _add_label(commands: Any) -> None:  # noqa: ANN401
    parser = command(
        commands,
        "label",
        "let CLIP label a bag by words, and judge the labels on one page",
        "Look at the images of a bag with CLIP, or take what another segmenter said of them (--teacher), and carry\n"
        "the classes over to the points. The folder gets labels.mcap (the bag with labels of each scan that has\n"
        "images, as `segment` writes them, confidence as probability), report.json, and report.html: the page that\n"
        "tells whether calibration, words or CLIP is at fault. After Ctrl-C they hold what was labelled until then.",
        (
            "label my_bag --out labels",
            "label my_bag --out labels --every 10 --classes 'road,street;car,van;person'",
            "label my_bag --out labels --clip.checkpoint tiny --classes world",
            "label my_bag --out labels --clip.model ViT-L-14 --dense.scales 0.5,1 --labeler.sweeps 5",
            "label my_bag --out labels --teacher my_segmentations",
        ),
    )
    add_bag(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, made when it is not there")
    add_overwrite(parser)
    add_label_options(parser)


def _add_collect(commands: Any) -> None:  # noqa: ANN401
    parser = command(
        commands,
        "collect",
        "keep what is worth it of a bag, labelled by CLIP, as shards to learn from",
        "Do with a bag what collect_node does on the vehicle: match images to scans, choose frames by motion and by\n"
        "what they show, have the teacher label them, and append them to shards. The same bag and settings give the\n"
        "same shards. After Ctrl-C they hold what was collected until then.",
        (
            "collect my_bag --out shards",
            "collect my_bag --out shards --choice.min-motion-m 5 --choice.min-novelty 0.05 --vehicle car-7",
            "collect my_bag --out shards --classes 'road,street;car,van;person' --shards.images drop",
            "inspect shards --out sheet.jpg",
        ),
    )
    parser.add_argument("bag", type=Path, metavar="BAG", help="rosbag2 folder, .mcap or .db3")
    parser.add_argument(
        "--topic", default="", help="its PointCloud2 topics, `/top,/rear`; not needed where there is one"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of shards, made where there is none"
    )
    parser.add_argument("--append", action="store_true", help="add to shards that are there")
    add_collect_options(parser)
