"""What `clip2scene compare` does with its options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from clip2scene_ros import vocabulary
from clip2scene_ros.compare.account import Account
from clip2scene_ros.compare.arguments import BAG_TEACHER, MEASURES, NO_TEACHER, TINY_TEACHER
from clip2scene_ros.compare.drive import compare_drive, has_images, truth_table
from clip2scene_ros.compare.measures import Findings, findings
from clip2scene_ros.compare.page import write_compare_page
from clip2scene_ros.compare.report import Made, build_compare_report
from clip2scene_ros.compare.words import compare_table
from clip2scene_ros.config import ClipConfig, SegmenterConfig
from clip2scene_ros.errors import BadClassSet, BadConfig, BadTeacher, Clip2SceneError
from clip2scene_ros.io.bags import BagReader, BagTopics, points_topic
from clip2scene_ros.report.evaluation import sha256_of, weights_sha256, write_report
from clip2scene_ros.settings import settings_of
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT, Segmenter
from clip2scene_ros.teacher.label_folder import folder_teacher
from clip2scene_ros.teacher.label_topics import topic_teacher
from clip2scene_ros.teacher.teachers import ClipTeacher, Teacher
from clip2scene_ros.terminal import Progress, complain, say
from clip2scene_ros.words import listed

Pair = tuple[Segmenter, Segmenter]


def compare_command(args: argparse.Namespace) -> bool:
    """Compare two checkpoints and return whether B is worse; what ends it, report and page tell what was compared.

    Args:
        args: as `arguments.parse` made them.

    Raises:
        BadBag, BadCheckpoint, BadClassSet, BadTeacher, BadConfig: whatever is wrong, before the long work where it can
            be; after it `gate`, where the measure that shall decide cannot be told.
    """
    with BagReader(args.bag) as bag:
        total = bag.topics[points_topic(bag, BagTopics(points=args.topic))][1]
        students = _students(args)
        truth, no_truth = truth_table(bag, students)
        teacher, no_teacher = _teacher(args, bag, students[0])
        missing = {name: why for name, why in (("miou", no_truth), ("agreement", no_teacher)) if why}
        if args.gate in missing:
            raise BadConfig("gate", f"--gate {args.gate} cannot decide: {missing[args.gate]}.")
        complain(_of(teacher) if teacher else f"without a teacher: {no_teacher}")
        account, bar = Account(students[0].class_set), Progress(args.quiet)
        try:
            compare_drive(bag, students, account, truth=truth, teacher=teacher, topic=args.topic, progress=bar)
        except BaseException:
            if account.scans:
                _judge(args, account, _made(args, bag, students, teacher, missing, total))
            raise
        found = _judge(args, account, _made(args, bag, students, teacher, missing, total))
    if not found.judged:
        whys = [found.measures[name] for name in ([args.gate] if args.gate else MEASURES[:3])]
        why = "; ".join(f"{each.title}: {each.why}" for each in whys)
        raise BadConfig("gate", f"{args.out} holds the report, but which one is better cannot be told; {why}.")
    return found.worse


def _students(args: argparse.Namespace) -> Pair:
    """Load A and B; an error says which of them it is about.

    Raises:
        BadClassSet: `differ`: they tell other classes apart.
    """
    a, b = _load("A", args.a, args.segmenter), _load("B", args.b, args.segmenter)
    if a.class_set.names != b.class_set.names:
        raise BadClassSet("differ", _how_they_differ(args, a, b))
    for side, student in (("A", a), ("B", b)):
        complain(f"{side}: {student.describe()}")
    return a, b


def _load(side: str, checkpoint: str, config: SegmenterConfig) -> Segmenter:
    try:
        return vocabulary.load_segmenter(replace(config, checkpoint=checkpoint))
    except Clip2SceneError as error:
        where = side if checkpoint and checkpoint in str(error) else f"{side} ({checkpoint or DEMO_CHECKPOINT.name})"
        raise type(error)(error.reason, f"{where}: {error}") from error


def _how_they_differ(args: argparse.Namespace, a: Segmenter, b: Segmenter) -> str:
    only_a = [name for name in a.class_set.names if name not in b.class_set.names]
    only_b = [name for name in b.class_set.names if name not in a.class_set.names]
    apart = [f"only {side} has {listed(names)}" for side, names in (("A", only_a), ("B", only_b)) if names]
    return (
        f"Expected checkpoints of the same classes, but A ({args.a}) has the {len(a.class_set)} of "
        f"`{a.class_set.name}`, B ({args.b}) the {len(b.class_set)} of `{b.class_set.name}`: "
        f"{'; '.join(apart) or 'the same ones in another order'}. Name classes in which both shall be scored: "
        "--classes with a class set, or with words such as 'road, street; car, van'."
    )


def _teacher(args: argparse.Namespace, bag: BagReader, student: Segmenter) -> tuple[Teacher | None, str]:
    """Return who looks at the images, or None and why nobody does."""
    who = args.teacher or (TINY_TEACHER if bag.world() else NO_TEACHER)
    if not has_images(bag):
        return None, "the bag has no images"
    if who == NO_TEACHER:
        hint = "no teacher was asked for" if args.teacher else "name one with --teacher, such as 'ViT-B-16 openai'"
        return None, hint
    if who == BAG_TEACHER:
        return topic_teacher(bag), ""
    config = ClipConfig(device=args.segmenter.device)
    words = who.split()
    if who == TINY_TEACHER or who.endswith(".safetensors"):
        config = replace(config, checkpoint=who)
    elif len(words) == 2 and not Path(who).exists():
        config = replace(config, model=words[0], pretrained=words[1])
    else:
        return folder_teacher(Path(who)), ""
    try:
        return ClipTeacher.load(student.class_set, config), ""
    except BadTeacher as error:
        hint = "" if args.teacher else " Or do without a teacher: --teacher none."
        raise BadTeacher(error.reason, f"{error}{hint}") from error


def _of(teacher: Teacher) -> str:
    return f"{teacher.describe()}{f'; {teacher.notice}' if teacher.notice else ''}"


def _made(
    args: argparse.Namespace,
    bag: BagReader,
    students: Pair,
    teacher: Teacher | None,
    missing: dict[str, str],
    total: int,
) -> Made:
    settings = {f"segmenter.{name}": value for name, value, _ in settings_of(args.segmenter) if name != "checkpoint"}
    return Made(
        checkpoints={
            side: _checkpoint(path, student, args.segmenter)
            for side, path, student in zip("AB", (args.a, args.b), students, strict=True)
        },
        teacher=_of(teacher) if teacher else "",
        missing=missing,
        settings={**settings, "teacher": args.teacher, "gate": args.gate, "topic": args.topic},
        data_sha256=sha256_of(args.bag),
        world=bag.world(),
        total=total,
        command=args.command_line,
    )


def _checkpoint(path: str, student: Segmenter, config: SegmenterConfig) -> Mapping[str, str]:
    return {
        "path": path or str(DEMO_CHECKPOINT),
        "sha256": weights_sha256(replace(config, checkpoint=path)),
        "description": student.describe(),
        "notice": student.card.notice,
    }


def _judge(args: argparse.Namespace, account: Account, made: Made) -> Findings:
    """Write report and page of what was compared, and say what they conclude."""
    found, page = findings(account, made.missing, args.gate), args.out / "report.html"
    report = build_compare_report(account, found, made)
    write_report(args.out / "report.json", report)
    write_compare_page(page, report, found, account)
    say(f"{compare_table(found, report['between']['same'])}\n")
    say("\n".join([*report["notes"], "", report["conclusion"], str(page)]))
    return found
