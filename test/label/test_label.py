"""`clip2scene label` as its user meets it: a bag, a small CLIP or label images in; labels, report and page out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import clip2scene, one_line_error
from comparisons import Tags
from small_street import START_NS, STEP_NS, scan_and_labels, write_clip, write_street

from clip2scene_ros import arguments
from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.config import ClipConfig, LabelConfig, LabelerConfig, TextConfig
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.frame import UNKNOWN, PseudoLabels
from clip2scene_ros.io.bag_messages import header, message_class
from clip2scene_ros.io.bags import BagReader, BagWriter, string_message
from clip2scene_ros.io.pointcloud import unpack_labels
from clip2scene_ros.label import command as label_command
from clip2scene_ros.label import pictures as label_pictures
from clip2scene_ros.label.labelling import segmentation_of
from clip2scene_ros.offline import CLASS_SET, LABELS, LABELS_RGB
from clip2scene_ros.settings import settings_of
from clip2scene_ros.teacher import teachers
from clip2scene_ros.teacher.clip import load_clip
from clip2scene_ros.teacher.label_folder import write_classes, write_teacher_image
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_ros.teacher.openclip import open_clip

IMAGE_TOPIC, INFO_TOPIC = "/cam_front/image/compressed", "/cam_front/camera_info"
WORDS = "road, street; car, van; person"
WORLD = load_class_set("world")


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("street") / "drive.mcap")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        open_clip()
    except BadTeacher as error:
        pytest.skip(f"open_clip cannot be imported (extra `clip`): {error.__cause__}")
    return write_clip(tmp_path_factory.mktemp("clip") / "small.safetensors")


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory, street: Path) -> Path:
    """Label images of one class, `car`, but the lower half `driveable surface`, for both images of the street."""
    folder = tmp_path_factory.mktemp("truth")
    ids = np.full((90, 160), WORLD.index("car"), np.uint8)
    ids[45:] = WORLD.index("driveable surface")
    write_classes(folder, WORLD)
    for i in (0, 3):
        write_teacher_image(folder, "cam_front", START_NS + i * STEP_NS, ids, np.full(ids.shape, 0.8))
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, street: Path, truth: Path) -> tuple[Path, str]:
    """Return the folder of the street labelled by label images, and what the command said."""
    folder = tmp_path_factory.mktemp("labelled") / "out"
    run = clip2scene("label", street, "--out", folder, "--teacher", truth)
    assert run.returncode == 0, run.stderr
    return folder, run.stderr


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch, labelled: tuple[Path, str]) -> None:
    """Draw small pictures, which takes a tenth of the time; those of `labelled` are as large as ever."""
    monkeypatch.setattr(label_pictures, "SHOT_PX", 64)
    monkeypatch.setattr(label_pictures, "BIRD_PX", 64)


def changed(source: Path, target: Path, change: Callable[[str, str, int, bytes, BagReader], Any]) -> Path:
    """Copy a bag; `change` returns the bytes to write, or None to leave the message out."""
    with BagReader(source) as bag, BagWriter(target) as out:
        for topic, kind, stamp_ns, data in bag.raw():
            kept = change(topic, kind, stamp_ns, data, bag)
            if kept is not None:
                out.write_raw(topic, kind, kept, stamp_ns, latched=topic in bag.latched, types=bag.types)
    return target


def without(*topics: str) -> Callable[..., Any]:
    return lambda topic, kind, stamp_ns, data, bag: None if topic in topics else data


def recorded(path: Path) -> dict[int, Any]:
    with BagReader(path) as bag:
        return {at: unpack_labels(message) for at, message in bag.messages(LABELS)}


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


# ---- end to end


def test_the_bag_holds_what_the_labeler_says_of_every_scan(street: Path, clip: Path, tmp_path: Path) -> None:
    words = ("--classes", WORDS, "--clip.checkpoint", clip, "--text.cache", "", "--clip.device", "cpu")
    run = clip2scene("label", street, "--out", tmp_path / "out", *words)
    assert run.returncode == 0, run.stderr
    assert "6 scans labelled" in run.stdout
    assert "random" in run.stderr

    loaded = load_clip(ClipConfig(checkpoint=str(clip), device="cpu"))
    teacher = teachers.ClipTeacher(loaded, load_class_set(WORDS), None, TextConfig(cache=""))
    found = recorded(tmp_path / "out" / "labels.mcap")
    with BagReader(street) as bag:
        expected = list(Labeler(teacher, LabelerConfig()).label(bag.frames()))
    assert len(expected) == len(found) == 6
    for each, (points, labels) in zip(expected, found.values(), strict=True):
        np.testing.assert_array_equal(points, each.frame.scan.points)
        np.testing.assert_array_equal(labels.class_id, each.labels.class_id)
        np.testing.assert_allclose(labels.probability, each.labels.confidence, atol=1e-6)
    assert sum(int((labels.class_id != UNKNOWN).sum()) for _, labels in found.values()) > 500


def test_the_messages_of_the_old_bag_are_kept_and_the_classes_told(street: Path, labelled: tuple[Path, str]) -> None:
    with BagReader(street) as before, BagReader(labelled[0] / "labels.mcap") as after:
        assert list(after.raw(set(before.topics))) == list(before.raw())
        assert after.topics[LABELS][1] == after.topics[LABELS_RGB][1] == 6
        assert CLASS_SET in after.latched
        said = next(message.data for _, message in after.messages(CLASS_SET))
    assert ClassSet.from_json(said).names == WORLD.names


def test_label_images_take_the_place_of_clip(truth: Path, labelled: tuple[Path, str]) -> None:
    """Cloud 0 is road alone; the camera looks ahead from 1.5 m, so that road is below the image's middle."""
    _, labels = recorded(labelled[0] / "labels.mcap")[START_NS]
    seen = labels.class_id != UNKNOWN
    assert seen.sum() > 100
    assert set(labels.class_id[seen]) == {WORLD.index("driveable surface")}
    np.testing.assert_allclose(labels.probability[seen], 204 / 255, atol=1e-6)
    assert (labels.probability[~seen] == 0).all()
    report = report_of(labelled[0])
    assert report["score"]["iou"]["driveable surface"] > 0.5
    assert report["images"] == 2
    assert str(truth) in labelled[1]


def test_label_images_may_be_topics_of_the_bag(street: Path, truth: Path, tmp_path: Path) -> None:
    ids = np.full((90, 160), 1, np.uint8)
    image_class = message_class("sensor_msgs/msg/Image")
    with BagReader(street) as bag, BagWriter(tmp_path / "with.mcap") as out:
        for topic, kind, at, data in bag.raw():
            out.write_raw(topic, kind, data, at, latched=topic in bag.latched, types=bag.types)
            if topic == IMAGE_TOPIC:
                out.write(
                    "/cam_front/labels",
                    image_class(
                        header=header(at, "cam_front"), height=90, width=160, encoding="mono8", is_bigendian=0,
                        step=160, data=ids.ravel(),
                    ),
                    at,
                )  # fmt: skip
    run = clip2scene("label", tmp_path / "with.mcap", "--out", tmp_path / "out", "--teacher", "bag", "--classes", WORDS)
    assert run.returncode == 0, run.stderr
    for _, labels in recorded(tmp_path / "out" / "labels.mcap").values():
        assert set(labels.class_id) <= {1, UNKNOWN}
    assert list(report_of(tmp_path / "out")["classes"]) == ["road", "car", "person"]


def test_every_and_max_frames_choose_scans_and_end_the_copy(street: Path, truth: Path, tmp_path: Path) -> None:
    words = ("--teacher", truth, "--every", "2", "--max-frames", "2")
    assert clip2scene("label", street, "--out", tmp_path / "out", *words).returncode == 0
    assert list(recorded(tmp_path / "out" / "labels.mcap")) == [START_NS, START_NS + 2 * STEP_NS]
    with BagReader(tmp_path / "out" / "labels.mcap") as bag:
        assert bag.topics["/points"][1] == 3
    settings = report_of(tmp_path / "out")["settings"]
    assert settings["every"] == settings["max_frames"] == 2


def test_the_same_bag_gives_the_same_report(
    street: Path, truth: Path, tmp_path: Path, labelled: tuple[Path, str]
) -> None:
    assert clip2scene("label", street, "--out", tmp_path / "b", "--teacher", truth).returncode == 0
    a, b = report_of(labelled[0]), report_of(tmp_path / "b")
    for changing in ("seconds_per_image", "peak_memory_mb", "command"):
        assert a.pop(changing) is not None
        b.pop(changing)
    assert a == b


# ---- page


def test_the_page_has_every_part_and_asks_nothing_of_the_network(labelled: tuple[Path, str]) -> None:
    page, report = (labelled[0] / "report.html").read_text(), report_of(labelled[0])
    for part in (
        "Calibration</h2>", "calibration<small>", "words<small>", "teacher<small>", "Pictures</h2>", "Classes</h2>",
        "Against the bag", "Made by", "points seen", "hidden behind others", "sky leak", "cameras agree",
        "sweeps agree", "labels (grey", "confidence (yellow", "ground truth of the bag", "yaw [deg]", "cam front",
    ):  # fmt: skip
        assert part in page, part
    assert report["conclusion"] in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert "script" not in tags.met
    assert tags.met.count("img") == 3 * (2 + 3)


def test_names_from_outside_cannot_break_the_page(street: Path, tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>"
    write_classes(tmp_path / "t", load_class_set(f"{nasty}; </style>&quot;"))
    write_teacher_image(tmp_path / "t", "cam_front", START_NS, np.zeros((90, 160), np.uint8))
    run = clip2scene("label", street, "--out", tmp_path / "out", "--teacher", tmp_path / "t")
    assert run.returncode == 0, run.stderr
    page = (tmp_path / "out" / "report.html").read_text()
    assert nasty not in page
    assert report_of(tmp_path / "out")["left_out"] == {"images of cam_front of which the teacher says nothing": 1}
    assert "&lt;script&gt;" in page
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.met
    assert tags.open == []


# ---- what goes wrong


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "--out"),
        (("--out", "x", "--every", "0"), "at least 1"),
        (("--out", "x", "--max-frames", "-3"), "--max-frames"),
        (("--out", "x", "--dense.overlap", "2"), "`overlap`"),
        (("--out", "x", "--dense.read-out", "half"), "half"),
        (("--out", "x", "--labeler.vote", "nobody"), "nobody"),
        (("--out", "x", "--clip.random-weights", "perhaps"), "yes or no"),
        (("--out", "x", "--clip.modell", "ViT"), "unrecognized arguments"),
    ],
)
def test_wrong_usage_exits_with_2(words: tuple[str, ...], complaint: str) -> None:
    run = clip2scene("label", "bag", *words)
    assert run.returncode == 2
    assert complaint in run.stderr


def test_every_setting_is_an_option_and_dense_ones_are_kept_apart() -> None:
    args = arguments.parse(["label", "a", "--out", "b"])
    assert args.label == LabelConfig()
    assert args.dense == {}
    args = arguments.parse(["label", "a", "--out", "b", "--dense.mode", "whole", "--clip.random-weights"])
    assert args.dense == {"mode": "whole"}
    assert args.label.clip.random_weights is True
    for name, default, field in settings_of(LabelConfig()):
        choices = field.metadata["choices"]
        other = choices[-1] if choices else {str: "x", int: 3, float: 2.5, bool: "no"}[type(default)]
        other = 0.5 if type(default) is float and field.metadata["high"] == 1.0 else other
        args = arguments.parse(["label", "a", "--out", "b", f"--{name.replace('_', '-')}", str(other)])
        given = dict((n, v) for n, v, _ in settings_of(args.label))[name]
        assert given == (False if other == "no" else other)


def test_outputs_are_never_replaced_unasked(street: Path, truth: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    one_line_error(clip2scene("label", street, "--out", tmp_path / "file", "--teacher", truth), "expected a folder")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("precious")
    words = ("label", street, "--out", tmp_path / "out", "--teacher", truth)
    one_line_error(clip2scene(*words), "report.html exists", "--overwrite")
    assert (tmp_path / "out" / "report.html").read_text() == "precious"
    assert clip2scene(*words, "--overwrite").returncode == 0
    own = ("label", tmp_path / "out" / "labels.mcap", "--out", tmp_path / "out", "--teacher", truth, "--overwrite")
    one_line_error(clip2scene(*own), "the bag to label itself")


def test_a_bag_without_cameras_is_told_what_was_expected(street: Path, truth: Path, tmp_path: Path) -> None:
    bag = changed(street, tmp_path / "blind.mcap", without(IMAGE_TOPIC))
    run = clip2scene("label", bag, "--out", tmp_path / "out", "--teacher", truth)
    one_line_error(run, "expected images", "/cam_front/image/compressed", "/points (sensor_msgs/msg/PointCloud2)")
    assert not (tmp_path / "out" / "labels.mcap").exists()


@pytest.mark.parametrize("gone", [INFO_TOPIC, "/tf_static"])
def test_cameras_that_cannot_be_placed_are_told_of(street: Path, truth: Path, tmp_path: Path, gone: str) -> None:
    bag = changed(street, tmp_path / "lost.mcap", without(gone))
    run = clip2scene("label", bag, "--out", tmp_path / "out", "--teacher", truth)
    one_line_error(
        run, "no scan on /points has an image that can be placed", "scans without a usable image near in time: 6"
    )
    assert not list((tmp_path / "out").glob("*"))


def test_a_broken_image_is_counted_and_named_but_not_fatal(street: Path, truth: Path, tmp_path: Path) -> None:
    def cut(topic: str, kind: str, stamp_ns: int, data: bytes, bag: BagReader) -> bytes:
        if topic != IMAGE_TOPIC or stamp_ns == START_NS:
            return data
        message = bag.decode(topic, kind, data)
        message.data = message.data[: len(message.data) // 2]
        return bytes(bag.types.serialize_cdr(message, kind))

    bag = changed(street, tmp_path / "cut.mcap", cut)
    run = clip2scene("label", bag, "--out", tmp_path / "out", "--teacher", truth)
    assert run.returncode == 0, run.stderr
    left_out = report_of(tmp_path / "out")["left_out"]
    assert left_out == {
        "images on /cam_front/image/compressed that could not be read (truncated)": 1,
        "scans without a usable image near in time": 4,
    }
    assert 0 < report_of(tmp_path / "out")["frames"] == 6 - 4
    assert "images on /cam_front/image/compressed" in (tmp_path / "out" / "report.html").read_text()


def test_missing_weights_tell_how_to_get_them(
    street: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(open_clip(), "create_model", unreachable)
    run = clip2scene("label", street, "--out", tmp_path / "out")
    words = ("'openai' of ViT-B-16", "no network", "https://huggingface.co/", ".safetensors", "`clip.checkpoint`")
    one_line_error(run, *words)
    assert not (tmp_path / "out").exists()


def test_the_shipped_clip_has_a_short_name(
    street: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("label", street, "--out", tmp_path / "out", "--clip.checkpoint", "tiny", "--classes", WORDS)
    monkeypatch.setattr(teachers, "TINY_CLIP", tmp_path / "gone.safetensors")
    one_line_error(clip2scene(*words), "gone.safetensors")
    monkeypatch.setattr(teachers, "TINY_CLIP", clip)
    run = clip2scene(*words, "--max-frames", "1", "--text.cache", "")
    assert run.returncode == 0, run.stderr
    assert report_of(tmp_path / "out")["teacher"].startswith("CLIP small, 3 classes of words")


def test_a_label_image_that_does_not_fit_ends_it_but_leaves_a_whole_bag(
    street: Path, truth: Path, tmp_path: Path
) -> None:
    write_classes(tmp_path / "t", WORLD)
    write_teacher_image(tmp_path / "t", "cam_front", START_NS, np.zeros((90, 160), np.uint8))
    write_teacher_image(tmp_path / "t", "cam_front", START_NS + 3 * STEP_NS, np.zeros((45, 80), np.uint8))
    run = clip2scene("label", street, "--out", tmp_path / "out", "--teacher", tmp_path / "t")
    assert run.returncode == 1
    assert "160 x 90 px" in run.stderr
    assert "80 x 45" in run.stderr
    done = report_of(tmp_path / "out")["frames"] if (tmp_path / "out" / "report.json").exists() else 0
    if done:
        assert len(recorded(tmp_path / "out" / "labels.mcap")) == done


class StopsAfterTwo:
    """Progress that is interrupted, as by Ctrl-C, when two items are done."""

    def __init__(self, quiet: bool) -> None:
        """Take what the command gives."""

    def __call__(self, items: Iterator[Any], title: str, total: int | None = None) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == 2:
                raise KeyboardInterrupt
            yield item


def test_ctrl_c_leaves_bag_report_and_page_of_what_was_done(
    street: Path, truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_command, "Progress", StopsAfterTwo)
    run = clip2scene("label", street, "--out", tmp_path / "out", "--teacher", truth)
    assert run.returncode == 130
    assert "2 scans labelled" in run.stdout
    assert "interrupted" in run.stderr
    assert list(recorded(tmp_path / "out" / "labels.mcap")) == [START_NS, START_NS + STEP_NS]
    assert report_of(tmp_path / "out")["frames"] == 2
    assert (tmp_path / "out" / "report.html").read_text().endswith("</html>\n")


# ---- the form of labels


@pytest.mark.parametrize("classes", [1, 2, 15])
def test_entropy_is_that_of_the_most_even_distribution_with_this_confidence(classes: int) -> None:
    confidence = np.linspace(1 / classes, 1, 9).astype(np.float32)
    ids = np.zeros(9, np.uint8)
    ids[3] = UNKNOWN
    found = segmentation_of(PseudoLabels(ids, np.where(ids == UNKNOWN, 0, confidence).astype(np.float32)), classes)
    for i, p in enumerate(confidence.astype(float)):
        chances = np.array([p, *([(1 - p) / max(1, classes - 1)] * (classes - 1))])
        chances = chances[chances > 0]
        expected = 1.0 if i == 3 else float(-(chances * np.log(chances)).sum() / np.log(max(2, classes)))
        assert found.entropy[i] == pytest.approx(min(expected, 1.0), abs=1e-5)
    assert found.probability[3] == 0


def test_labels_stand_beside_the_points_of_their_scan(labelled: tuple[Path, str]) -> None:
    for i, (points, _) in enumerate(recorded(labelled[0] / "labels.mcap").values()):
        np.testing.assert_array_equal(points, scan_and_labels(i)[0].points)


def test_a_class_set_in_the_bag_is_used_for_its_label_images(street: Path, truth: Path, tmp_path: Path) -> None:
    with BagReader(street) as bag, BagWriter(tmp_path / "b.mcap") as out:
        out.write("/teacher/class_set", string_message("{}"), START_NS, latched=True)
        for topic, kind, at, data in bag.raw():
            out.write_raw(topic, kind, data, at, latched=topic in bag.latched, types=bag.types)
    run = clip2scene("label", tmp_path / "b.mcap", "--out", tmp_path / "out", "--teacher", "bag")
    one_line_error(run, "`classes`")
