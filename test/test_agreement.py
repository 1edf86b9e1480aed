"""What must hold of a live node: each check passes on an honest one and fails on the fault that it is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from clip2scene_ros.agreement import (
    Agreement,
    Check,
    LabelCloud,
    NodeCounts,
    dropped_stamps,
    judge,
    live_tables,
    paired,
)
from clip2scene_ros.classes import load_class_set
from clip2scene_ros.frame import Frame, Scan, Segmentation

STAMPS = [10, 20, 30, 40, 50]
COUNTS = NodeCounts(received=5, labelled=3, dropped={"superseded": 1, "duplicate_stamp": 1}, lost=0)


class Core:
    """Labels point i of a scan with (stamp + i) mod 7."""

    class_set = load_class_set("world")

    def segment(self, scan: Scan) -> Segmentation:
        i = np.arange(len(scan))
        share = (i / len(scan)).astype(np.float32)
        return Segmentation(((scan.stamp_ns + i) % 7).astype(np.uint8), share, 1 - share)


def frame(stamp_ns: int, seed: int = 0) -> Frame:
    points = np.random.default_rng(seed).uniform(-9, 9, (6, 3)).astype(np.float32)
    return Frame(Scan(points, np.zeros(6, np.float32), stamp_ns), labels=np.zeros(6, np.uint8))


def cloud(of: Frame, **changes: np.ndarray) -> LabelCloud:
    return of.scan.stamp_ns, of.scan.points, replace(Core().segment(of.scan), **changes)


def compare(frames: list[Frame], clouds: Iterator[LabelCloud]) -> tuple[Agreement, list[int]]:
    agreement = Agreement()
    return agreement, [f.scan.stamp_ns for f, _ in paired(frames, clouds, Core(), agreement)]


def test_labels_find_their_scans_by_stamp_and_points() -> None:
    frames = [frame(stamp, seed) for seed, stamp in enumerate([10, 20, 20, 30, 10])]  # a duplicate and a looped bag
    agreement, found = compare(frames, iter([cloud(frames[0]), cloud(frames[2]), cloud(frames[4])]))
    assert found == [10, 20, 10]
    assert (agreement.compared, agreement.strange, agreement.unequal) == (3, 0, [])
    assert (agreement.points, agreement.same_class) == (18, 18)


@pytest.mark.parametrize(
    "clouds",
    [
        lambda f: [cloud(f[0]), cloud(f[0])],  # twice
        lambda f: [cloud(f[1]), cloud(f[0])],  # out of order
        lambda f: [cloud(frame(11)), cloud(f[0])],  # a stamp that no scan has
        lambda f: [(10, f[0].scan.points[::-1], cloud(f[0])[2])],  # points in another order
    ],
)
def test_labels_that_are_of_no_scan_are_strange(clouds) -> None:
    frames = [frame(stamp, seed) for seed, stamp in enumerate(STAMPS)]
    agreement, _ = compare(frames, iter(clouds(frames)))
    assert agreement.strange > 0


@pytest.mark.parametrize("name", ["class_id", "probability", "entropy"])
def test_one_bit_of_one_point_is_a_difference(name: str) -> None:
    of = frame(10)
    values = getattr(Core().segment(of.scan), name).copy()
    values.view(np.uint8)[8 if values.dtype == np.float32 else 2] ^= 1
    agreement, _ = compare([of], iter([cloud(of, **{name: values})]))
    assert agreement.unequal == [10]
    assert not agreement.holds(on_gpu=False)
    assert agreement.same_class == (5 if name == "class_id" else 6)


def test_on_a_gpu_one_point_in_a_thousand_may_differ() -> None:
    assert Agreement(compared=1, unequal=[1], points=1000, same_class=999).holds(on_gpu=True)
    assert not Agreement(compared=1, unequal=[1], points=1000, same_class=998).holds(on_gpu=True)


def test_dropped_is_what_was_sent_and_not_delivered() -> None:
    assert dropped_stamps(STAMPS, [50, 10, 30]) == [20, 40]
    assert dropped_stamps([10, 10, 20, 10], [10, 20]) == [10, 10]
    assert dropped_stamps(STAMPS, STAMPS) == []


def test_counts_are_those_since_the_first_scan() -> None:
    before = NodeCounts(received=9, labelled=4, dropped={"no_subscriber": 4, "superseded": 1}, lost=2)
    after = NodeCounts(received=14, labelled=7, dropped={"no_subscriber": 4, "superseded": 3}, lost=3)
    assert after.since(before) == NodeCounts(received=5, labelled=3, dropped={"superseded": 2}, lost=1)
    assert after.since(before).unlabelled == 3
    assert replace(after, lost=None).since(before).lost is None


def held(checks: list[Check]) -> list[bool]:
    return [check.held for check in checks]


def verdict(agreement: Agreement | None = None, counts: NodeCounts = COUNTS, sent: int = 5, **changes) -> list[Check]:
    given = {"total": 5, "dropped": [20, 40], "on_gpu": False} | changes
    return judge(agreement or Agreement(compared=3), counts, sent, given["total"], given["dropped"], on_gpu=False)


def test_all_holds_of_an_honest_node_whether_losses_are_known_or_not() -> None:
    assert all(held(verdict()))
    assert all(held(verdict(counts=replace(COUNTS, lost=None))))
    lost = NodeCounts(received=4, labelled=3, dropped={"superseded": 1}, lost=1)
    assert all(held(verdict(counts=lost)))
    assert all(held(verdict(counts=replace(lost, lost=None))))


@pytest.mark.parametrize(
    ("which", "changes"),
    [
        (0, {"total": 6}),
        (0, {"agreement": Agreement(compared=2)}),
        (0, {"agreement": Agreement(), "dropped": STAMPS, "counts": NodeCounts(5, 0, {"superseded": 5}, 0)}),
        (1, {"agreement": Agreement(compared=3, strange=1)}),
        (2, {"counts": replace(COUNTS, labelled=4)}),
        (3, {"counts": replace(COUNTS, dropped={"superseded": 1})}),
        (3, {"counts": replace(COUNTS, lost=1)}),
        (3, {"counts": replace(COUNTS, received=4)}),
        (3, {"counts": replace(COUNTS, received=6)}),
        (4, {"agreement": Agreement(compared=3, unequal=[10])}),
    ],
)
def test_each_fault_fails_its_check(which: int, changes: dict) -> None:
    assert not held(verdict(**changes))[which]


def test_the_tables_tell_what_held_and_list_every_dropped_stamp() -> None:
    stamp = 1_700_000_000_123_456_789
    tables = live_tables(verdict(Agreement(compared=3, unequal=[10])), COUNTS, 5, [20, stamp])
    assert [row[2] for row in tables["What must hold"]["rows"]] == ["yes", "yes", "yes", "yes", "NO"]
    assert tables["Dropped scans"]["rows"] == [["20"], [str(stamp)]]
    assert ["dropped: superseded", 1] in tables["Scans"]["rows"]
