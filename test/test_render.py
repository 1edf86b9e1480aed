"""Pictures show what they claim: the right colour at the right place, in front what is in front."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip2scene_ros.classes import ClassSet, SemanticClass, load_class_set
from clip2scene_ros.drawing import PANEL, dots, legible
from clip2scene_ros.frame import CameraModel, Frame, Scan, Segmentation, View
from clip2scene_ros.render import (
    BIRD_PX,
    bird_view,
    heading_of,
    label_view,
    overlay,
    save_png,
    summary_picture,
    uncertainty_view,
)

CLASSES = load_class_set("world")
CAR, ROAD, PEDESTRIAN = CLASSES.index("car"), CLASSES.index("driveable surface"), CLASSES.index("pedestrian")
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])


def scan_of(points: list[list[float]]) -> Scan:
    return Scan(np.array(points, dtype=np.float32), np.zeros(len(points), dtype=np.float32))


def view_of(name: str = "cam_front", width: int = 400, height: int = 200) -> View:
    camera = CameraModel(width, height, np.array([[200.0, 0, width / 2], [0, 200, height / 2], [0, 0, 1]]))
    return View(name, np.full((height, width, 3), 128, dtype=np.uint8), camera, CAMERA_FROM_LIDAR)


def near(color: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.abs(color.astype(int) - wanted.astype(int)).max() <= 12)


def blob(x: float, y: float, z: float = 0.0) -> list[list[float]]:
    return [[x + dx, y + dy, z] for dx in np.linspace(-0.6, 0.6, 13) for dy in np.linspace(-0.6, 0.6, 13)]


def test_bird_view_puts_ahead_up_and_left_left() -> None:
    points = np.array(blob(20, 0) + blob(0, 10), dtype=np.float32)
    class_id = np.repeat([CAR, PEDESTRIAN], 169).astype(np.uint8)
    picture = bird_view(points, class_id, CLASSES.palette, 800, extent_m=40)
    assert near(picture[200, 400], CLASSES.palette[CAR])
    assert near(picture[400, 300], CLASSES.palette[PEDESTRIAN])
    assert near(picture[600, 400 + 40], np.array(PANEL))


def test_bird_view_turns_by_the_heading() -> None:
    points = np.array(blob(0, 20), dtype=np.float32)
    picture = bird_view(points, np.full(169, CAR, np.uint8), CLASSES.palette, 800, heading_rad=np.pi / 2)
    assert near(picture[200, 400], CLASSES.palette[CAR])


def test_the_higher_point_hides_the_lower_and_the_named_the_unknown() -> None:
    points = np.array(blob(20, 0, 1.0) + blob(20, 0, -1.0) + blob(20, 0, 3.0), dtype=np.float32)
    class_id = np.repeat([CAR, ROAD, 255], 169).astype(np.uint8)
    for order in (slice(None), slice(None, None, -1)):
        picture = bird_view(points[order], class_id[order], CLASSES.palette, 800)
        assert near(picture[200, 400], CLASSES.palette[CAR])


def test_points_that_are_nowhere_or_far_away_are_left_out() -> None:
    points = np.array([[np.nan, 0, 0], [0, np.inf, 0], [0, 0, -np.inf], [1e30, 0, 0], [-41, 0, 0]], dtype=np.float32)
    empty = np.zeros((0, 3), dtype=np.float32)
    picture = bird_view(points, np.full(5, CAR, np.uint8), CLASSES.palette, 300)
    np.testing.assert_array_equal(picture, bird_view(empty, np.zeros(0, np.uint8), CLASSES.palette, 300))
    np.testing.assert_array_equal(picture, uncertainty_view(points, np.ones(5, np.float32), 300))


def test_uncertain_points_are_yellow_and_certain_ones_blue() -> None:
    points = np.array(blob(20, 0) + blob(-20, 0), dtype=np.float32)
    picture = uncertainty_view(points, np.repeat([1.0, 0.0], 169).astype(np.float32), 800).astype(int)
    assert picture[200, 400, 0] > 200 > 100 > picture[200, 400, 2]
    assert picture[600, 400, 2] > picture[600, 400, 0]


def test_overlay_paints_dots_dims_the_rest_and_keeps_the_input() -> None:
    image = np.full((50, 80, 3), 200, dtype=np.uint8)
    out = overlay(image, np.array([[10.2, 20.4], [79, 49], [300, 20]]), np.array([CAR, ROAD, CAR]), CLASSES.palette, 2)
    assert (image == 200).all()
    np.testing.assert_array_equal(out[20, 10], CLASSES.palette[CAR])
    np.testing.assert_array_equal(out[49, 79], CLASSES.palette[ROAD])
    np.testing.assert_array_equal(out[5, 60], [150, 150, 150])


def test_dots_that_overlap_show_the_later_one() -> None:
    canvas = np.zeros((9, 9, 3), dtype=np.uint8)
    at = np.array([4, 4])
    dots(canvas, at, at, np.array([[10, 0, 0], [0, 20, 0]], dtype=np.uint8), 2)
    assert (canvas[4, 4] == [0, 20, 0]).all()
    assert (canvas[0, 0] == 0).all()


def test_label_view_shows_near_points_over_far_ones_where_the_camera_model_puts_them() -> None:
    # straight ahead lands in the centre; 10 m ahead and 2 m left lands 40 of 400 px to the left
    points = np.array([[10, 0, 0], [5, 0, 0], [10, 2, 0], [-10, 0, 0]], dtype=np.float32)
    class_id = np.array([ROAD, CAR, PEDESTRIAN, ROAD], dtype=np.uint8)
    picture = label_view(view_of(), points, class_id, CLASSES.palette, 800)
    assert picture.shape == (400, 800, 3)
    assert near(picture[200, 400], CLASSES.palette[CAR])
    assert near(picture[200, 320], CLASSES.palette[PEDESTRIAN])


def test_heading_is_where_the_front_camera_looks() -> None:
    quarter = np.array([[0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    turned = CAMERA_FROM_LIDAR @ quarter
    view = View("cam_front", view_of().image, view_of().camera, turned)
    empty = Scan(np.zeros((0, 3)), np.zeros(0))
    assert heading_of(Frame(empty, (view_of("cam_front_left"), view))) == pytest.approx(np.pi / 2)
    assert heading_of(Frame(empty)) == 0.0


@pytest.mark.parametrize("cameras", [0, 1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("labelled", [True, False])
def test_summary_has_one_width_and_grows_with_the_rows_of_cameras(cameras: int, labelled: bool) -> None:
    scan = scan_of(blob(10, 0))
    class_id = np.full(169, CAR, dtype=np.uint8)
    names = ["cam_back", "cam_front", "cam_front_left", "cam_back_left", "left", "cam_front_right", "x", "y"]
    frame = Frame(scan, tuple(view_of(n) for n in names[:cameras]), labels=class_id if labelled else None)
    segmentation = Segmentation(class_id, np.ones(169, np.float32), np.zeros(169, np.float32))
    picture = summary_picture(frame, segmentation, CLASSES, "A title", "A footer " * 100)
    assert picture.shape[1:] == (1920, 3)
    assert picture.dtype == np.uint8
    assert picture.shape[0] > BIRD_PX + (0, 200)[cameras > 0]
    assert (picture == CLASSES.palette[CAR]).all(axis=2).sum() > 500


@pytest.mark.parametrize(("name", "all_fit"), [("world", True), ("semantickitti", True), ("many", False)])
def test_legend_shows_every_class_that_occurs_or_says_that_there_are_others(name: str, all_fit: bool) -> None:
    colors = np.random.default_rng(0).integers(100, 256, (40, 3)).tolist()
    many = ClassSet("many", tuple(SemanticClass(f"class {i}", (), tuple(c)) for i, c in enumerate(colors)))
    class_set = many if name == "many" else load_class_set(name)
    class_id = np.arange(len(class_set), dtype=np.uint8)
    scan = Scan(np.full((len(class_id), 3), np.nan, np.float32), np.zeros(len(class_id), np.float32))
    segmentation = Segmentation(class_id, np.ones(len(class_id), np.float32), np.zeros(len(class_id), np.float32))
    picture = summary_picture(Frame(scan), segmentation, class_set)[:, 1500:]  # the legend
    swatches = [int((picture == color).all(axis=2).sum()) for color in legible(class_set.palette)[class_id]]
    assert all(area > 300 for area in swatches[:20])
    assert all(area > 300 for area in swatches) == all_fit


def test_front_left_stands_left_of_front_and_above_back_left() -> None:
    scan = Scan(np.zeros((0, 3), np.float32), np.zeros(0, np.float32))
    colors = {"cam_back_left": 10, "cam_front": 60, "cam_front_left": 110, "cam_back": 160}
    views = tuple(
        View(n, np.full((200, 400, 3), v, np.uint8), view_of().camera, CAMERA_FROM_LIDAR) for n, v in colors.items()
    )
    picture = summary_picture(Frame(scan, views), Segmentation.unknown(0), CLASSES)
    place = {n: np.argwhere((picture == int(0.75 * v)).all(axis=2)).mean(axis=0) for n, v in colors.items()}
    assert place["cam_front_left"][1] < place["cam_front"][1]
    assert place["cam_front_left"][0] < place["cam_back_left"][0]
    assert place["cam_back_left"][1] < place["cam_back"][1]


def test_dark_colours_are_made_legible_and_bright_ones_kept() -> None:
    colors = np.array([[0, 0, 0], [0, 0, 230], [255, 158, 0]], dtype=np.uint8)
    out = legible(colors)
    assert (out.astype(float) @ [0.299, 0.587, 0.114] >= 94).all()
    np.testing.assert_array_equal(out[2], colors[2])
    assert out[1, 2] > out[1, 0]


def test_png_is_whole_or_not_there(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    save_png(tmp_path / "new" / "a.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), image)
    with pytest.raises((TypeError, ValueError)):
        save_png(tmp_path / "new" / "a.png", np.zeros((2, 2, 7), dtype=np.float64))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), image)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.png"]
