"""Label images of another segmenter: what is written comes back, what does not fit is refused by name."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.errors import BadBag, BadTeacher, Clip2SceneError
from clip2scene_ros.frame import UNKNOWN, CameraModel, Frame, Scan, View
from clip2scene_ros.io.bag_messages import header, message_class
from clip2scene_ros.io.bags import BagReader, BagWriter, string_message
from clip2scene_ros.teacher.external import ExternalTeacher, LabelImage
from clip2scene_ros.teacher.label_folder import folder_teacher, write_classes, write_teacher_image
from clip2scene_ros.teacher.label_topics import CLASS_SET_TOPIC, topic_teacher
from clip2scene_ros.teacher.text import WordRows, save_rows

CLASSES = load_class_set("road, street; car, van; person")
SIZE = (24, 40)
STAMP_NS = 1_700_000_000_123_456_789


def view(name: str = "cam_front", stamp_ns: int = STAMP_NS, size: tuple[int, int] = SIZE) -> View:
    camera = CameraModel(size[1], size[0], np.array([[40.0, 0, 20], [0, 40, 12], [0, 0, 1]]))
    return View(name, np.zeros((*size, 3), np.uint8), camera, np.eye(4), stamp_ns)


def frame(*views: View) -> Frame:
    return Frame(Scan(np.zeros((0, 3), np.float32), np.zeros(0, np.float32)), views)


def random_labels(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ids = rng.choice(np.array([0, 1, 2, UNKNOWN], np.uint8), SIZE)
    return ids, rng.integers(0, 256, SIZE) / 255.0


def written(folder: Path, ids: np.ndarray, confidence: np.ndarray | None = None) -> ExternalTeacher:
    write_classes(folder, CLASSES)
    write_teacher_image(folder, "cam_front", STAMP_NS, ids, confidence)
    return folder_teacher(folder)


# ---- one image


def test_every_pixel_has_its_class_its_confidence_and_an_even_rest() -> None:
    ids, confidence = random_labels()
    image = LabelImage(ids, confidence.astype(np.float32), 3)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    at = image.at(torch.from_numpy(np.stack([columns, rows], -1)).float()).numpy()
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            if ids[row, column] == UNKNOWN:
                expected = [0, 0, 0, 1]
            else:
                sure = max(confidence[row, column], 1 / 3 + 1e-3)
                expected = [(1 - sure) / 2] * 3 + [0]
                expected[ids[row, column]] = sure
            np.testing.assert_allclose(at[row, column], expected, atol=1e-6)
    named = ids != UNKNOWN
    np.testing.assert_array_equal(at.argmax(-1)[named], ids[named])


def test_pixels_between_and_outside_take_the_nearest() -> None:
    ids = np.zeros(SIZE, np.uint8)
    ids[-1, -1] = 2
    image = LabelImage(ids, np.ones(SIZE, np.float32), 3)
    found = image.at(torch.tensor([[38.6, 22.6], [38.4, 22.6], [1e9, 1e9], [-5.0, -5.0], [float("nan"), 0.0]]))
    assert found.argmax(-1).tolist() == [2, 0, 2, 0, 0]


def test_one_class_alone_leaves_the_rest_to_nobody() -> None:
    image = LabelImage(np.zeros(SIZE, np.uint8), np.full(SIZE, 0.25, np.float32), 1)
    assert image.at(torch.zeros(1, 2)).tolist() == [[1.0, 0.0]]


# ---- a folder


def test_a_folder_gives_back_what_was_written(tmp_path: Path) -> None:
    ids, confidence = random_labels()
    teacher = written(tmp_path, ids, confidence)
    (seen,) = teacher.see(frame(view()))
    found, sure = seen.labels()
    np.testing.assert_array_equal(found, ids)
    np.testing.assert_allclose(sure, np.where(ids == UNKNOWN, 0, confidence), atol=1e-6)
    assert seen.size == SIZE
    assert seen.classes == 3
    assert [c.prompts for c in teacher.class_set.classes] == [c.prompts for c in CLASSES.classes]
    assert teacher.class_set.absorbers == CLASSES.absorbers
    assert str(tmp_path) in teacher.describe()


def test_without_confidence_every_label_is_certain(tmp_path: Path) -> None:
    ids, _ = random_labels()
    (seen,) = written(tmp_path, ids).see(frame(view()))
    np.testing.assert_array_equal(seen.labels()[1], ids != UNKNOWN)


@pytest.mark.parametrize("colours", [2, 4, 16, 200])
def test_a_palette_of_any_depth_gives_its_indices(tmp_path: Path, colours: int) -> None:
    ids = np.random.default_rng(1).integers(0, min(3, colours), SIZE).astype(np.uint8)
    teacher = written(tmp_path, ids)
    picture = Image.fromarray(ids)
    picture.putpalette([value for i in range(colours) for value in (i, 255 - i, 7)])
    picture.save(tmp_path / "cam_front" / f"{STAMP_NS}.png")
    np.testing.assert_array_equal(teacher.see(frame(view()))[0].labels()[0], ids)


def test_images_without_labels_are_unknown_told_once_and_counted(tmp_path: Path, caplog) -> None:
    teacher = written(tmp_path, random_labels()[0])
    seen = teacher.see(frame(view(stamp_ns=STAMP_NS + 1), view(), view("cam_back")))
    assert [each is None for each in seen] == [True, False, True]
    teacher.see(frame(view(stamp_ns=STAMP_NS + 2)))
    assert teacher.missing == {"cam_front": 2, "cam_back": 1}
    assert sum("no labels for cam_front" in record.message for record in caplog.records) == 1


def png(array: np.ndarray, mode: str | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file, "PNG")
    return file.getvalue()


GOOD = png(np.zeros(SIZE, np.uint8))
NOISE = png(np.random.default_rng(0).integers(0, 3, SIZE).astype(np.uint8))


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        (png(np.zeros((24, 41), np.uint8)), "size", ("40 x 24", "41 x 24", "cam_front")),
        (png(np.full(SIZE, 3, np.uint8)), "class_id", ("below 3", "got 3")),
        (png(np.zeros(SIZE, np.uint16)), "png", ("8-bit grey or palette", "16 bits")),
        (png(np.zeros((*SIZE, 3), np.uint8)), "png", ("colour type 2",)),
        (png(np.zeros(SIZE, np.uint8), "1"), "png", ("of 1 bits",)),
        (NOISE[:-40], "png", ("ends at byte",)),
        (NOISE[:60] + bytes([NOISE[60] ^ 1]) + NOISE[61:], "png", ("checksum",)),
        (b"no picture", "png", ("Expected a JPEG or PNG",)),
    ],
)
def test_label_images_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, content: bytes, reason: str, words: tuple[str, ...]
) -> None:
    teacher = written(tmp_path, np.zeros(SIZE, np.uint8))
    path = tmp_path / "cam_front" / f"{STAMP_NS}.png"
    path.write_bytes(content)
    with pytest.raises(BadTeacher) as caught:
        teacher.see(frame(view()))
    assert caught.value.reason == reason
    for word in (path.name, *words):
        assert word in str(caught.value)


def test_a_confidence_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    teacher = written(tmp_path, np.zeros(SIZE, np.uint8))
    (tmp_path / "cam_front" / f"{STAMP_NS}_confidence.png").write_bytes(png(np.zeros((3, 3), np.uint8)))
    with pytest.raises(BadTeacher, match="expected confidence of 40 x 24"):
        teacher.see(frame(view()))


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_classes_is_refused(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path if exists else tmp_path / "gone"
    with pytest.raises(BadTeacher, match="no classes.yaml" if exists else "no such folder"):
        folder_teacher(folder)


@pytest.mark.parametrize(
    ("ids", "confidence"),
    [
        (np.full(SIZE, 256), None),
        (np.full(SIZE, -1), None),
        (np.zeros(SIZE), None),
        (np.zeros((3, *SIZE), np.uint8), None),
        (np.zeros(SIZE, np.uint8), np.full(SIZE, 1.5)),
        (np.zeros(SIZE, np.uint8), np.full(SIZE, np.nan)),
        (np.zeros(SIZE, np.uint8), np.ones((2, 2))),
    ],
)
def test_the_writer_refuses_what_it_could_not_keep(tmp_path: Path, ids: np.ndarray, confidence) -> None:
    with pytest.raises(BadTeacher):
        write_teacher_image(tmp_path, "cam_front", 1, ids, confidence)


# ---- features


def write_features(folder: Path, features: np.ndarray) -> None:
    write_classes(folder, CLASSES)
    words = tuple(word for c in CLASSES.classes for word in c.prompts)
    rows = functional.normalize(torch.eye(len(words), 8), dim=-1)
    save_rows(folder / "words.safetensors", WordRows(words, rows[None], "unit vectors"))
    (folder / "cam_front").mkdir(exist_ok=True)
    np.save(folder / "cam_front" / f"{STAMP_NS}.npy", features)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_features_become_the_class_of_their_nearest_word(tmp_path: Path, kind: type) -> None:
    """Words 0, 1 are of class 0, words 2, 3 of class 1, word 4 of class 2; each cell has the feature of one word."""
    words = np.array([[0, 1, 2], [3, 4, 4]])
    write_features(tmp_path, 5 * np.eye(8)[words].astype(kind))
    (seen,) = folder_teacher(tmp_path).see(frame(view()))
    centres = torch.tensor([[[6.17, 5.5], [19.5, 5.5], [32.8, 5.5]], [[6.17, 17.5], [19.5, 17.5], [32.8, 17.5]]])
    assert seen.at(centres).argmax(-1).tolist() == [[0, 0, 1], [1, 2, 2]]
    assert seen.size == SIZE


@pytest.mark.parametrize(
    "features",
    [np.zeros((2, 3), np.float32), np.zeros((2, 3, 8), np.int32), np.full((2, 3, 8), np.nan, np.float32)],
)
def test_features_that_are_none_are_refused(tmp_path: Path, features: np.ndarray) -> None:
    write_features(tmp_path, features)
    with pytest.raises(BadTeacher, match=r"\.npy: expected"):
        folder_teacher(tmp_path).see(frame(view()))


def test_features_are_never_unpickled_nor_believed_longer_than_the_file(tmp_path: Path) -> None:
    write_features(tmp_path, np.zeros((2, 3, 8), np.float32))
    path = tmp_path / "cam_front" / f"{STAMP_NS}.npy"
    whole = path.read_bytes()
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    pickled = path.read_bytes()
    huge = whole.replace(b"(2, 3, 8)", b"(90000000, 3, 8)".ljust(9)[:16])
    for content in (pickled, huge, whole[:-4], b""):
        path.write_bytes(content)
        with pytest.raises(BadTeacher):
            folder_teacher(tmp_path).see(frame(view()))


def test_features_of_another_model_are_refused(tmp_path: Path) -> None:
    write_features(tmp_path, np.ones((2, 3, 7), np.float32))
    with pytest.raises(BadTeacher, match="different models"):
        folder_teacher(tmp_path).see(frame(view()))


# ---- topics


def image_message(array: np.ndarray, encoding: str = "mono8"):
    return message_class("sensor_msgs/msg/Image")(
        header=header(STAMP_NS, "cam_front"), height=array.shape[0], width=array.shape[1], encoding=encoding,
        is_bigendian=0, step=array.strides[0], data=np.ascontiguousarray(array).view(np.uint8).ravel(),
    )  # fmt: skip


def bag_with(path: Path, *images: tuple[str, object], classes: bool = True) -> Path:
    with BagWriter(path) as bag:
        bag.write("/chatter", string_message("hello"), STAMP_NS)
        if classes:
            bag.write(CLASS_SET_TOPIC, string_message(CLASSES.to_json()), STAMP_NS, latched=True)
        for topic, message in images:
            bag.write(topic, message, STAMP_NS + 5_000_000)
    return path


@pytest.mark.parametrize("name", ["a.mcap", "a.db3"])
def test_topics_give_back_what_was_published(tmp_path: Path, name: str) -> None:
    ids, confidence = random_labels()
    other = np.full(SIZE, 2, np.uint8)
    path = bag_with(
        tmp_path / name,
        ("/cam_front/labels", image_message(ids)),
        ("/cam_front/confidence", image_message(np.rint(255 * confidence).astype(np.uint8))),
        ("/rig/back/labels", image_message(other)),
    )
    with BagReader(path) as bag:
        teacher = topic_teacher(bag)
        assert teacher.class_set.names == CLASSES.names
        front, back, late = teacher.see(frame(view(), view("rig_back"), view(stamp_ns=STAMP_NS + 1)))
        np.testing.assert_array_equal(front.labels()[0], ids)
        np.testing.assert_allclose(front.labels()[1], np.where(ids == UNKNOWN, 0, confidence), atol=1e-6)
        np.testing.assert_array_equal(back.labels()[0], other)
        assert late is None


@pytest.mark.parametrize(
    ("images", "classes", "words"),
    [
        ((), True, ("CAMERA/labels", "/chatter")),
        ((("/cam_front/labels", image_message(np.zeros(SIZE, np.uint8))),), False, ("/teacher/class_set", "--classes")),
        ((("/cam_front/labels", image_message(np.zeros(SIZE, np.uint16), "mono16")),), True, ("mono8", "mono16")),
        ((("/cam_front/labels", image_message(np.full(SIZE, 9, np.uint8))),), True, ("below 3", "cam_front")),
        ((("/cam_front/labels", image_message(np.zeros((5, 5), np.uint8))),), True, ("40 x 24", "5 x 5")),
    ],
)
def test_topics_that_do_not_fit_are_refused_by_name(tmp_path: Path, images, classes: bool, words) -> None:
    path = bag_with(tmp_path / "a.mcap", *images, classes=classes)
    with BagReader(path) as bag, pytest.raises(BadTeacher) as caught:
        topic_teacher(bag).see(frame(view()))
    for word in words:
        assert word in str(caught.value)


def test_a_class_set_by_name_goes_before_the_bags_own(tmp_path: Path) -> None:
    path = bag_with(tmp_path / "a.mcap", ("/cam_front/labels", image_message(np.zeros(SIZE, np.uint8))), classes=False)
    with BagReader(path) as bag:
        assert topic_teacher(bag, "nuscenes").class_set.name == "nuscenes"
        with pytest.raises(Clip2SceneError):
            topic_teacher(bag, "atlantis")


def test_label_images_are_no_cameras(tmp_path: Path) -> None:
    from clip2scene_ros.io.bag_frames import BagTopics, camera_topics

    gray = image_message(np.zeros(SIZE, np.uint8))
    topics = ("/cam_front/image_raw", "/cam_front/labels", "/cam_front/confidence")
    with BagReader(bag_with(tmp_path / "a.mcap", *((topic, gray) for topic in topics))) as bag:
        assert camera_topics(bag, BagTopics()) == ["/cam_front/image_raw"]
        with pytest.raises(BadBag):
            camera_topics(bag, BagTopics(cameras=("/cam_back/image_raw",)))
