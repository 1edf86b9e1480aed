"""The table of nuScenes-lidarseg's point counts covers the class set `world`, and only it."""

from __future__ import annotations

import yaml

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.share import share_file


def test_every_class_of_the_world_has_its_points() -> None:
    table = yaml.safe_load(share_file("config/nuscenes_shares.yaml").read_text())
    rows = table["categories"].values()
    assert {row["class"] for row in rows} == set(load_class_set("world").names)
    assert all(row["points"] > 0 for row in rows)


def test_shares_are_those_of_all_sixteen_classes() -> None:
    table = yaml.safe_load(share_file("config/nuscenes_shares.yaml").read_text())
    points = {name: row["points"] for name, row in table["categories"].items()}
    # worked out by hand from the published counts, with flat.other as the sixteenth class
    total = sum(points.values()) + table["left_out"]["flat.other"]
    assert round(total / 1e6, 1) == 844.7
    assert round(100 * points["flat.driveable_surface"] / total, 1) == 37.5
    assert round(100 * points["vehicle.bicycle"] / total, 3) == 0.017
