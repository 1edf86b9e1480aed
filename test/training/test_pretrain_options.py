"""`clip2scene pretrain`: presets are what the paper and its released code say, and the command line is heard."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from cast_street import CLASSES, streets
from command_line import clip2scene
from small_street import START_NS, write_clip, write_street

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import ClipConfig, TextConfig
from clip2scene_ros.errors import BadConfig, BadTeacher
from clip2scene_ros.io.bag_messages import header, message_class
from clip2scene_ros.io.bags import BagReader, BagWriter, string_message
from clip2scene_ros.settings import settings_of
from clip2scene_ros.student.checkpoint import load_checkpoint
from clip2scene_ros.teacher.clip import load_clip
from clip2scene_ros.teacher.label_folder import write_classes, write_teacher_image
from clip2scene_ros.vocabulary import carry
from clip2scene_training import pretrain_options
from clip2scene_training.pretrain_config import PRESETS, PretrainConfig
from clip2scene_training.teachers import TeacherSettings, Words

SPECIFIED = (
    # setting, paper, official, where: number in the list of differences, or section of the paper
    ("semantic.form", "ce", "ce", "D2"),
    ("semantic.normalize", False, False, "D2"),
    ("semantic.temperature", 1.0, 1.0, "D2"),
    ("semantic.balance", 0.0, 0.0, "all classes weigh the same"),
    ("semantic.weight", 1.0, 1.0, "total loss: weight 1 each"),
    ("space_time.weight", 1.0, 1.0, "total loss: weight 1 each"),
    ("space_time.form", "cells", "cells", "section 3.3"),
    ("space_time.learn_projection", True, False, "D5"),
    ("space_time.pixels", True, False, "D6"),
    ("space_time.mean_over", "points", "slots", "D7"),
    ("space_time.centre", "normalized", "free", "D8"),
    ("space_time.limit", 8, 8, "at most 8 pairs a cell"),
    ("space_time.pick", "random", "first", "which 8"),
    ("space_time.temperature", 1.0, 1.0, "lambda"),
    ("switching.start", 0.5, 0.55, "D9: after 10 of 20 epochs; when epoch > 10, counted from 0"),
    ("switching.granularity", "point", "batch", "D9"),
    ("switching.probability", 0.5, 0.5, "section 3.4"),
    ("switching.prediction", "own", "own", "section 3.4"),
    ("switching.unpaired", False, False, "D1: computed, then overwritten"),
    ("sweeps.count", 3, 3, "K = 3"),
    ("sweeps.previous", 9, 9, "two of the nine before"),
    ("sweeps.own_m", 1.0, 1.0, "|x| < 1 and |y| < 1"),
    ("sweeps.cell_m", 0.1, 0.1, "voxels of 0.1 m"),
    ("sweeps.merged", False, False, "each sweep is a sample"),
    ("pairs.visibility", False, False, "no test of occlusion"),
    ("pairs.images", "key", "key", "all sweeps look into the key frame's images"),
    ("pairs.labels", "pixel", "pixel", "section 3.1"),
    ("images.give", "crops", "crops", "section 4"),
    ("images.width", 416, 416, "crops of 224 x 416"),
    ("images.height", 224, 224, "crops of 224 x 416"),
    ("images.least_area", 0.3, 0.3, "area 0.3 to 1"),
    ("images.least_ratio", 14 / 9, 14 / 9, "ratio 14/9 to 17/9"),
    ("images.most_ratio", 17 / 9, 17 / 9, "ratio 14/9 to 17/9"),
    ("images.keep_pairs", 1024, 1024, "until > 1024 pairs or > 75 % remain"),
    ("images.keep_share", 0.75, 0.75, "until > 1024 pairs or > 75 % remain"),
    ("images.flip", True, True, "p = 0.5 an image"),
    ("augment.turn", "any", "any", "about z, 0 to 2 pi"),
    ("augment.flip", True, True, "x and y, each p = 0.5"),
    ("augment.scale", 0.0, 0.0, "no scaling"),
    ("augment.intensity", 0.0, 0.0, "no jitter"),
    ("augment.paste", 0.0, 0.0, "nothing else"),
    ("optimizer", "sgd", "sgd", "1.10: SGD, momentum 0.9, dampening 0.1"),
    ("learning_rate", 0.1, 0.1, "1.10"),
    ("warmup", 0.0, 0.0, "1.10: cosine to 0"),
    ("weight_decay", 1e-4, 1e-4, "1.10"),
    ("clip_norm", 1e6, 1e6, "1.10: no limit"),
    ("batch_size", 4, 4, "1.10: 4 in all"),
)


@pytest.mark.parametrize(("name", "paper", "official", "where"), SPECIFIED, ids=[row[0] for row in SPECIFIED])
def test_presets_are_the_paper_and_its_released_code(name, paper, official, where):
    found = {preset: dict((n, v) for n, v, _ in settings_of(PRESETS[preset]))[name] for preset in ("paper", "official")}
    assert found == {"paper": paper, "official": official}, where


def test_nothing_but_what_is_specified_differs_between_the_paper_and_the_released_code():
    paper, official = ({n: v for n, v, _ in settings_of(PRESETS[p])} for p in ("paper", "official"))
    specified = {name for name, one, other, _ in SPECIFIED if one != other}
    assert {name for name in paper if paper[name] != official[name]} == specified
    default = {n: v for n, v, _ in settings_of(PretrainConfig())}
    assert {name for name in paper if paper[name] != default[name]} <= {name for name, *_ in SPECIFIED}


def test_best_learns_voted_labels_under_rules_the_surest_of_each_class_along_the_street():
    best = PRESETS["best"]
    assert best.pairs.labels == "point"
    assert best.pairs.visibility
    assert best.labeler.visibility
    assert best.labeler.vote == "mean"
    assert best.labeler.keep < 1.0
    assert best.semantic.balance > 0
    assert best.semantic.normalize
    assert best.semantic.lovasz > 0
    assert best.labeler.ground
    assert best.labeler.columns
    assert best.labeler.clusters
    assert best.augment.turn == "none"
    assert (best.sweeps.count, best.space_time.weight, best.switching.probability) == (1, 0.0, 0.0)


def read(*words):
    return pretrain_options.settings(pretrain_options.parser().parse_args(["--out", "x.safetensors", *words]))


def test_what_the_command_line_gives_replaces_the_presets():
    config, dense = read(
        "--preset", "official", "--space-time.pixels", "true", "--steps", "7", "--dense.official", "true"
    )
    assert config.space_time.pixels
    assert not config.space_time.learn_projection
    assert (config.steps, config.optimizer, dense) == (7, "sgd", {"official": True})
    assert read()[0] == PRESETS["best"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--preset worst", "paper, official, best, ppkt.*worst"),
        ("--semantic.form mse", r"semantic\.form.*ce.*mse"),
        ("--steps many", "steps.*int.*many"),
        ("--switching.start 2", r"switching\.start.*\[0"),
        ("--dense.affinity none", "affinity.*naclip.*none"),
        ("--world-seeds 5", "A:B"),
        ("--split all", "train, val, test, ood"),
        ("--min-range-m 50 --max-range-m 10", r"min_range_m.*50\.0 and 10\.0"),
        ("--device gpu", "cpu, cuda or cuda:N.*gpu"),
        ("--clip.device gpu", "cpu, cuda or cuda:N.*gpu"),
        ("--clip.checkpoint gone.safetensors", r"gone\.safetensors.*no file"),
        ("--val-data gone.mcap --world-seeds 0:1", r"gone\.mcap"),
        ("{bag} --split val", r"--split val names scenes of the world, but .*drive\.mcap"),
        ("--val-data {bag} --val-split test", r"--val-split test .*drive\.mcap"),
        ("{bag} --teacher noisy:0.3", r"noisy:0\.3.*true pixels.*drive\.mcap"),
        ("--world-seeds 0:1 --classes nuscenes", "classes of `world`"),
    ],
)
def test_wrong_arguments_end_in_one_line(words, said, tmp_path):
    where = ["--out", tmp_path / "x.safetensors", "--cache", tmp_path, "--clip.checkpoint", "tiny"]
    bag = write_street(tmp_path / "drive.mcap") if "{bag}" in words else ""
    run = clip2scene("pretrain", *where, *shlex.split(words.format(bag=bag)))
    assert run.returncode == 1
    lines = [line for line in run.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, run.stderr
    assert re.search(said, lines[0]), lines[0]
    assert not list(tmp_path.glob("*.safetensors"))


def test_what_is_there_is_not_replaced_unasked(tmp_path):
    (tmp_path / "old.safetensors").write_bytes(b"an earlier run")
    run = clip2scene("pretrain", "--out", tmp_path / "old.safetensors")
    assert run.returncode == 1
    assert "--overwrite" in run.stderr
    assert (tmp_path / "old.safetensors").read_bytes() == b"an earlier run"


def test_the_command_learns_the_worlds_streets(tmp_path, monkeypatch):
    asked = []

    def drives(split, seeds, cache, class_set, *, with_images):
        asked.append((split, seeds, cache, class_set, with_images))
        return streets(1, frames=2, seed=len(asked))

    monkeypatch.setattr(pretrain_options, "streets", drives)
    clip, out = write_clip(tmp_path / "clip.safetensors"), tmp_path / "student.safetensors"
    words = ["--out", out, "--world-seeds", "3:5", "--steps", "2", "--labels", tmp_path / "labels", "--preset", "best"]
    small = ["--network.width", "0.25", "--network.voxel-size-m", "0.3", "--text.cache", ""]
    run = clip2scene(
        "pretrain", *words, *small, "--classes", CLASSES, "--clip.checkpoint", clip, "--clip.device", "cpu"
    )
    assert run.returncode == 0, run.stderr
    assert asked == [("train", "3:5", None, CLASSES, True), ("val", None, None, load_class_set(CLASSES), True)]
    assert "labels of the teacher, where it has given some: mIoU" in run.stdout
    assert Path(run.stdout.splitlines()[-1]).is_file()
    _, card = load_checkpoint(out)
    assert card.network.embedding_dim == 16
    assert card.notice == (
        "learned from the labels of small; no point and no pixel was labelled by a person; random weights"
    )
    assert card.created_by.startswith("clip2scene pretrain --out")
    told = clip2scene("inspect", out).stdout
    assert "no point and no pixel was labelled by a person" in told


def test_the_command_learns_a_bag_that_nobody_has_labelled(tmp_path):
    bag = write_street(tmp_path / "drive.mcap", truth=False)
    folder, own = tmp_path / "theirs", load_class_set("road; car")
    write_classes(folder, own)
    stamps = [1_700_000_000_000_000_000 + i * 50_000_000 for i in (0, 3)]
    for stamp_ns in stamps:
        write_teacher_image(folder, "cam_front", stamp_ns, np.repeat([[1], [0]], 45, 0) + np.zeros((1, 160), int))
    clip, out = write_clip(tmp_path / "clip.safetensors"), tmp_path / "student.safetensors"
    small = [
        "--network.width",
        "0.25",
        "--text.cache",
        "",
        "--clip.checkpoint",
        clip,
        "--steps",
        "2",
        "--batch-size",
        "1",
    ]
    asked = [
        "--teacher",
        folder,
        "--sweeps.count",
        "1",
        "--labels",
        tmp_path / "labels",
        "--cache",
        tmp_path / "frames",
    ]
    run = clip2scene("pretrain", bag, "--out", out, *asked, *small)
    assert run.returncode == 0, run.stderr
    _, card = load_checkpoint(out)
    assert card.class_set.names == ("road", "car")
    assert card.notice == f"learned from labels of {folder}"
    assert clip2scene("segment", bag, "--out", tmp_path / "labelled.mcap", "--checkpoint", out).returncode == 0


def with_label_topics(bag, out, ids, class_set):
    """Copy a bag of `small_street`, with label images beside its camera's, as another segmenter leaves them."""
    image_class = message_class("sensor_msgs/msg/Image")
    with BagReader(bag) as source, BagWriter(out) as copy:
        if class_set is not None:
            copy.write("/teacher/class_set", string_message(class_set.to_json()), START_NS, latched=True)
        for topic, kind, at, data in source.raw():
            copy.write_raw(topic, kind, data, at, latched=topic in source.latched, types=source.types)
            if topic == "/cam_front/image/compressed":
                said = {"height": 90, "width": 160, "encoding": "mono8", "is_bigendian": 0, "step": 160}
                copy.write(
                    "/cam_front/labels", image_class(header=header(at, "cam_front"), **said, data=ids.ravel()), at
                )
    return out


@pytest.mark.parametrize("told", ["by the bag", "by --classes"])
def test_the_command_learns_label_images_that_are_topics_of_the_bag(tmp_path, told):
    own, ids = load_class_set("road; car"), np.repeat(np.array([[1], [0]], np.uint8), 45, 0).repeat(160, 1)
    plain = write_street(tmp_path / "plain.mcap", truth=False)
    bag = with_label_topics(plain, tmp_path / "drive.mcap", ids, own if told == "by the bag" else None)
    clip, out = write_clip(tmp_path / "clip.safetensors"), tmp_path / "student.safetensors"
    where = ["--labels", tmp_path / "labels", "--cache", tmp_path / "frames", "--clip.checkpoint", clip]
    small = ["--network.width", "0.25", "--text.cache", "", "--steps", "1", "--batch-size", "1", "--sweeps.count", "1"]
    asked = [] if told == "by the bag" else ["--classes", "road; car"]
    run = clip2scene("pretrain", bag, "--teacher", "bag", "--out", out, *where, *small, *asked)
    assert run.returncode == 0, run.stderr
    _, card = load_checkpoint(out)
    assert card.class_set.names == ("road", "car")
    assert card.notice == "learned from labels of bag"  # whose they are nobody knows here: nothing is claimed
    kept = [np.load(path) for path in sorted((tmp_path / "labels").glob("labels_*/*.npz"))]
    shown = np.concatenate([each["class_id"] for each in kept])
    assert set(shown) == {0, 1, 255}  # the lower half of the image is road, the upper half cars


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return ClipConfig(checkpoint=str(write_clip(tmp_path_factory.mktemp("clip") / "small.safetensors")), device="cpu")


def test_a_teachers_name_tells_weights_words_and_settings(clip, tmp_path):
    folder = tmp_path / "labels"
    write_classes(folder, load_class_set("road; car"))
    other = tmp_path / "other.safetensors"
    other.write_bytes(Path(clip.checkpoint).read_bytes())
    text = TextConfig(cache="")
    base = TeacherSettings("", CLASSES, clip, {}, text)
    copied = TeacherSettings("", CLASSES, ClipConfig(checkpoint=str(other), device="cpu"), {}, text)
    assert base.name() == copied.name()
    others = [
        TeacherSettings("", CLASSES, ClipConfig(checkpoint="tiny"), {}, text),
        TeacherSettings("", CLASSES, clip, {"short_side_px": 32}, text),
        TeacherSettings("", CLASSES, clip, {}, TextConfig(cache="", combine="lse")),
        TeacherSettings("noisy:0.1", CLASSES, clip, {}, text),
        TeacherSettings("noisy:0.2", CLASSES, clip, {}, text),
        TeacherSettings(str(folder), CLASSES, clip, {}, text),
    ]
    names = [base.name(), *(each.name() for each in others)]
    write_teacher_image(folder, "cam_front", 5, np.zeros((4, 4), int))
    names.append(others[-1].name())
    assert len(set(names)) == len(names)


def test_teachers_that_cannot_be_had_say_why(clip, tmp_path):
    def teacher(source, bags=(), classes="world"):
        return TeacherSettings(source, classes, clip, {}, TextConfig(cache=""), tuple(bags)).teacher()

    with pytest.raises(BadTeacher, match="no such folder"):
        teacher(str(tmp_path / "gone"))
    with pytest.raises(BadTeacher, match="expected bags"):
        teacher("bag")
    street = write_street(tmp_path / "drive.mcap", truth=False)
    with pytest.raises(BadTeacher, match="teacher/class_set"):
        teacher("bag", [street])
    with pytest.raises(BadTeacher, match="expected label images on CAMERA/labels"):
        teacher("bag", [street], CLASSES)
    with pytest.raises(BadConfig, match=r"\[0, 1\]"):
        teacher("noisy:1.5")


def test_a_folder_may_be_called_noisy(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_classes(Path("noisy"), load_class_set("road; car"))
    bag = write_street(tmp_path / "drive.mcap", truth=False)
    where = ["--out", "x.safetensors", "--labels", "labels", "--cache", "frames", "--text.cache", ""]
    run = clip2scene(
        "pretrain", bag, "--teacher", "noisy", "--classes", "van; bus", "--clip.checkpoint", "tiny", *where
    )
    assert re.search(r"asks for .*\(van, bus\).*labels of noisy mean .*\(road, car\)", run.stderr), run.stderr


def test_a_class_of_several_words_is_their_mean(clip):
    own, model, text = load_class_set("road, street; car"), load_clip(clip), TextConfig(cache="")
    words = Words.of(own, model, text)
    road, street, car = carry(("road", "street", "car"), model, text)
    mean = (road + street) / (road + street).norm()
    np.testing.assert_allclose(words.vectors.numpy(), np.stack([mean, car]), atol=1e-6)
    assert len(set(words.words)) == len(words.words) == len(words.rows)
