"""The `clip2scene` command: the one place that joins core, nodes and training.

Each sub-command imports what it needs when it runs, so that `--help` loads neither numpy nor torch.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clip2scene_ros import arguments, terminal
from clip2scene_ros.arguments.drives import WORLD_SECONDS, WORLD_SEED
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.report.folder import ReportFolder, check_folder, check_free
from clip2scene_ros.terminal import Progress, complain, say

if TYPE_CHECKING:
    from clip2scene_ros.student.segmenter import Segmenter


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: see `terminal.run`."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = arguments.parse(words)
    args.command_line = shlex.join(["clip2scene", *words])
    terminal.raise_on_sigterm()
    return terminal.run(lambda: COMMANDS[args.command](args))


def demo(args: argparse.Namespace) -> int:
    """Show the whole path on a short synthetic drive; see `demo.command`."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")  # the demo is no other computer's business
    from clip2scene_ros.demo.command import demo_command
    from clip2scene_ros.nodes.replay import Replay, play_and_record, start_node

    def write_drive(path: Path) -> None:
        _write_drive(args, path, overwrite=True)

    def play(drive: Path, labelled: Path) -> Replay:
        namespace, show = f"clip2scene_demo_{os.getpid()}", Progress(args.quiet).counter("live")
        with show as bar, start_node(_parameters(args), namespace=namespace) as node:
            return play_and_record(drive, labelled, namespace=namespace, overwrite=True, progress=bar, check=node.check)

    demo_command(args, _world_version(), write_drive, play)
    return terminal.OK


def world(args: argparse.Namespace) -> int:
    """Write a drive of the synthetic world as a bag."""
    check_free(args.overwrite, args.output)
    config = _world_config(args)
    try:
        _write_drive(args, args.output, args.overwrite, config)
    except KeyboardInterrupt as interrupt:
        if args.output.exists():
            interrupt.args = (f"{args.output} holds the drive up to there.",)
        raise
    say(f"{args.output}: {args.seconds:g} s of the synthetic world, seed {args.seed}")
    return terminal.OK


def segment(args: argparse.Namespace) -> int:
    """Label every cloud of a bag into a new bag."""
    from clip2scene_ros.io.bags import BagReader, BagWriter
    from clip2scene_ros.offline import Labelling, segment_bag

    if args.out.resolve() == args.bag.resolve():
        raise BadConfig("output", f"{args.out} is the bag to label itself: choose another output.")
    check_free(args.overwrite, args.out)
    writer, done = BagWriter(args.out, overwrite=args.overwrite), Labelling()
    with BagReader(args.bag) as bag:
        segmenter = _student(args)
        how = {"topic": args.topic, "keep_messages": not args.labels_only, "rgb": args.rgb}
        try:
            with writer as out:
                segment_bag(bag, out, segmenter, **how, progress=Progress(args.quiet), done=done)
        finally:
            if done.labelled:
                say(f"{args.out}: {done}")
    return terminal.OK


def evaluate(args: argparse.Namespace) -> int:
    """Score the labels of a bag that has ground truth."""
    from clip2scene_ros.io.bags import BagReader
    from clip2scene_ros.offline import evaluate_bag

    folder = ReportFolder(args.out, args.overwrite)
    with BagReader(args.bag) as bag:
        segmenter = _student(args)
        result = evaluate_bag(bag, segmenter, topic=args.topic, progress=Progress(args.quiet))
        made_by = bag.world()
    from clip2scene_ros.report.evaluation import build_report, sha256_of, table, weights_sha256
    from clip2scene_ros.settings import settings_of

    report = build_report(
        result,
        data_sha256=sha256_of(args.bag),
        weights_sha256=weights_sha256(args.segmenter),
        world=made_by,
        command=args.command_line,
        settings={f"segmenter.{name}": value for name, value, _ in settings_of(args.segmenter)},
        notes=[f"{segmenter.card.notice}."],
    )
    written = folder.write(result, report, args.bag.name, segmenter.card.notice)
    say("\n".join([table(report), *map(str, written)]))
    return terminal.OK


def compare(args: argparse.Namespace) -> int:
    """Tell which of two checkpoints is better on a drive."""
    from clip2scene_ros.compare.command import compare_command

    check_folder(args.out, args.overwrite, "report.json", "report.html")
    return terminal.WORSE if compare_command(args) else terminal.OK


def label(args: argparse.Namespace) -> int:
    """Label a bag by what a teacher sees in its images, and write the page by which the labels can be judged."""
    from clip2scene_ros.label.command import label_command

    check_folder(args.out, args.overwrite, "labels.mcap", "report.json", "report.html")
    label_command(args)
    return terminal.OK


def collect(args: argparse.Namespace) -> int:
    """Keep what is worth it of a bag, labelled, as shards."""
    from clip2scene_ros.collect.command import collect_command

    collect_command(args)
    return terminal.OK


def inspect(args: argparse.Namespace) -> int:
    """Print what a bag, shards, a checkpoint or a class set holds; of shards draw a contact sheet as well."""
    from clip2scene_ros.describe import describe
    from clip2scene_ros.io.shards import is_shards

    if not is_shards(args.file):
        if args.out is not None:
            raise BadConfig("output", f"--out draws what shards hold, but {args.file} is none.")
        say(describe(args.file))
        return terminal.OK
    from clip2scene_ros.shard_report import describe_survey, survey
    from clip2scene_ros.shard_sheet import write_sheet

    if args.out is not None:
        check_free(args.overwrite, args.out)
    found = survey(args.file)
    say(describe_survey(found))
    if args.out is not None:
        write_sheet(args.out, found)
        say(f"{args.out}")
    found.check()
    return terminal.OK


def calibrate(args: argparse.Namespace) -> int:
    """Check the calibration of a bag's cameras, or write a calibration file from another kind of it."""
    from clip2scene_ros.calibrate.command import calibrate_command

    if args.check and args.out:
        check_folder(args.out, args.overwrite, "report.json", "report.html")
    return calibrate_command(args)


def export(args: argparse.Namespace) -> int:
    """Write a checkpoint in the layout of the paper's code, or read such weights."""
    from clip2scene_ros.classes import load_class_set
    from clip2scene_ros.student.torchsparse import Told, export_torchsparse, import_torchsparse

    given = (args.class_set, args.voxel_size_m, args.intensity_max)
    if any(given) and (args.layout == "torchsparse" or not all(given)):
        raise BadConfig(
            "told", "--class-set, --voxel-size-m and --intensity-max belong to --layout clip2scene, and together."
        )
    if args.out.resolve() == args.file.resolve():
        raise BadConfig("output", f"{args.out} is the file to read itself: choose another output.")
    check_free(args.overwrite, args.out)
    if args.layout == "torchsparse":
        account = export_torchsparse(args.file, args.out)
    else:
        told = Told(load_class_set(args.class_set), args.voxel_size_m, args.intensity_max) if any(given) else None
        account = import_torchsparse(args.file, args.out, told, args.command_line)
    say(f"{account}\n{args.out}")
    return terminal.OK


def finetune(args: argparse.Namespace) -> int:
    """Train with labels."""
    from clip2scene_training import options

    return options.main(args.rest)


def pretrain(args: argparse.Namespace) -> int:
    """Train without labels."""
    from clip2scene_training import pretrain_options

    return pretrain_options.main(args.rest)


def ablate(args: argparse.Namespace) -> int:
    """Train and judge the rows of the ablation."""
    from clip2scene_training.ablation import options

    return options.main(args.rest)


def train_clip(args: argparse.Namespace) -> int:
    """Train a small CLIP from scratch."""
    from clip2scene_training import clip_options

    return clip_options.main(args.rest)


def _student(args: argparse.Namespace) -> Segmenter:
    """Load the student and say what it is."""
    from clip2scene_ros import vocabulary

    student = vocabulary.load_segmenter(args.segmenter)
    complain(student.describe())
    return student


def _write_drive(args: argparse.Namespace, path: Path, overwrite: bool, config: Any = None) -> None:  # noqa: ANN401
    from clip2scene_training.world.bag import write_bag

    with Progress(args.quiet).counter("drive") as bar:
        write_bag(path, args.seed, args.seconds, bar, overwrite=overwrite, config=config)


def _world_config(args: argparse.Namespace) -> Any:  # noqa: ANN401 - a WorldConfig, whose module is training's
    """Return the settings that were asked for, and put seed and seconds where none were: a split has its own.

    Raises:
        BadConfig: `seconds`: scenes of the benchmark have another length.
    """
    from clip2scene_ros.settings import with_settings
    from clip2scene_training.world.config import WorldConfig
    from clip2scene_training.world.rigs import with_rig
    from clip2scene_training.world.splits import SECONDS, SPLITS

    config, seed, seconds = WorldConfig(), WORLD_SEED, WORLD_SECONDS
    if args.split:
        split = SPLITS[args.split]
        config, seed, seconds = split.config, split.seeds[0], SECONDS
        if args.seconds not in (None, SECONDS):
            raise BadConfig(
                "seconds",
                f"A scene of --split {args.split} is {SECONDS:g} s long; another length is another scene. --seconds "
                f"{args.seconds:g} was asked for: leave out one of the two.",
            )
    args.seed = seed if args.seed is None else args.seed
    args.seconds = args.seconds or seconds
    if args.rig:
        config = with_rig(config, args.rig)
    asked = {
        "weather": args.weather,
        "calibration_error_deg": args.calibration_error,
        "odometry_drift": args.odometry_drift,
    }
    return with_settings(config, {name: value for name, value in asked.items() if value is not None})


def _world_version() -> dict[str, str]:
    """Return what, beside the seed, decides how a drive looks: the world's version and the hash of its source."""
    from clip2scene_ros.report.evaluation import sha256_of
    from clip2scene_training.world import version

    return {"version": version.WORLD_VERSION, "source_sha256": sha256_of(Path(version.__file__).parent)}


def _parameters(args: argparse.Namespace) -> dict[str, object]:
    """Return the segmenter's settings as parameters of the live node."""
    from clip2scene_ros.settings import settings_of

    return {f"segmenter.{name}": value for name, value, _ in settings_of(args.segmenter)}


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        *(demo, world, segment, evaluate, compare, label, collect, inspect, calibrate, export),
        *(finetune, pretrain, ablate, train_clip),
    )
}

if __name__ == "__main__":
    sys.exit(main())
