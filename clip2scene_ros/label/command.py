"""What `clip2scene label` does with its options."""

from __future__ import annotations

import argparse
from pathlib import Path

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.io.bags import BagReader, BagWriter
from clip2scene_ros.label.account import Account
from clip2scene_ros.label.labelling import check_bag, label_bag
from clip2scene_ros.label.page import write_label_page
from clip2scene_ros.label.report import build_label_report
from clip2scene_ros.report.evaluation import sha256_of, write_report
from clip2scene_ros.settings import settings_of
from clip2scene_ros.teacher.label_folder import folder_teacher
from clip2scene_ros.teacher.label_topics import topic_teacher
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_ros.teacher.teachers import ClipTeacher, Teacher
from clip2scene_ros.terminal import Progress, complain, say

IN_BAG = "bag"
"""What `--teacher` says for label images that are topics of the bag."""


def label_command(args: argparse.Namespace) -> None:
    """Label a bag; whatever ends that, what was labelled is a whole bag, and is reported.

    Args:
        args: as `arguments.parse` made them.

    Raises:
        BadBag, BadTeacher, BadClassSet, BadConfig: whatever is wrong, before the long work where it can be.
    """
    out_path = args.out / "labels.mcap"
    if out_path.resolve() == args.bag.resolve():
        raise BadConfig("output", f"{out_path} is the bag to label itself: choose another folder.")
    with BagReader(args.bag) as bag:
        check_bag(bag, args.topic)
        teacher = teacher_of(args, bag)
        complain(f"{teacher.describe()}{f'; {teacher.notice}' if teacher.notice else ''}")
        account, labeler = Account(teacher.class_set), Labeler(teacher, args.label.labeler)
        which = {"topic": args.topic, "every": args.every, "max_frames": args.max_frames}
        try:
            with BagWriter(out_path, overwrite=args.overwrite) as out:
                label_bag(bag, out, labeler, account, **which, progress=Progress(args.quiet))
        finally:
            if account.frames:
                _judge(args, teacher, account)
                say(f"\n{out_path}: {account.frames} scans labelled\n{args.out / 'report.html'}")


def teacher_of(args: argparse.Namespace, bag: BagReader) -> Teacher:
    """Return who looks at the images of an open bag.

    Raises:
        BadTeacher, BadCheckpoint, BadClassSet, BadConfig: it cannot be had; the text says what to do.
    """
    if args.teacher == IN_BAG:
        return topic_teacher(bag, args.classes or "")
    if args.teacher:
        return folder_teacher(Path(args.teacher), args.label.text)
    return ClipTeacher.load(load_class_set(args.label.classes), args.label.clip, args.dense, args.label.text)


def _judge(args: argparse.Namespace, teacher: Teacher, account: Account) -> None:
    """Write report and page of what was labelled, and say what they conclude."""
    settings = {name: value for name, value, _ in settings_of(args.label)}
    settings |= {f"dense.{name}": value for name, value in args.dense.items()}
    settings |= {"teacher": args.teacher, "every": args.every, "max_frames": args.max_frames}
    how = {"command": args.command_line, "data_sha256": sha256_of(args.bag), "settings": settings}
    report = build_label_report(account, teacher, **how)
    write_report(args.out / "report.json", report)
    write_label_page(args.out / "report.html", report, account)
    say(report["conclusion"])
    for each in report["findings"]:
        say("\n".join([f"{each['about']}: {each['state']}", *(f"  {sentence}" for sentence in each["sentences"])]))
