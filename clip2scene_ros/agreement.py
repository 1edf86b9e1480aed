"""Is the live node what the offline core is? Labels that it delivered, paired with the scans of the bag by exact stamp.

No ROS here: `nodes/evaluate.py` plays the bag and hears the labels; what must hold is counted and judged here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clip2scene_ros.evaluation import Labelled
from clip2scene_ros.frame import Array, Frame, Segmentation
from clip2scene_ros.offline import SegmentsScans

GPU_SHARE = 0.999
"""Share of points that must get the same class on a GPU, whose sums are not always taken in the same order."""

LabelCloud = tuple[int, Array, Segmentation]
"""Stamp [ns], points (N, 3) and labels of one message of the live node."""


@dataclass(frozen=True)
class NodeCounts:
    """What the live node counted of the scans that it was sent.

    Attributes:
        received: scans that arrived.
        labelled: scans whose labels were published.
        dropped: reason -> scans that got none.
        lost: scans that never arrived, by sequence numbers; None where the middleware has none.
    """

    received: int = 0
    labelled: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    lost: int | None = None

    def since(self, before: NodeCounts) -> NodeCounts:
        """Return what was counted after `before`."""
        lost = None if self.lost is None else self.lost - (before.lost or 0)
        dropped = Counter(self.dropped)
        dropped.subtract(before.dropped)
        reasons = {reason: count for reason, count in sorted(dropped.items()) if count}
        return NodeCounts(self.received - before.received, self.labelled - before.labelled, reasons, lost)

    @property
    def unlabelled(self) -> int:
        """Return the scans that are counted as dropped or lost."""
        return sum(self.dropped.values()) + (self.lost or 0)


@dataclass
class Agreement:
    """Live labels against the offline run's.

    Attributes:
        compared: scans whose labels were compared.
        unequal: stamps of those whose class, probability or entropy differ in a bit [ns].
        points: points of the scans compared.
        same_class: those of them with the same class.
        strange: label clouds that are not of the bag's scans, once each and in order.
    """

    compared: int = 0
    unequal: list[int] = field(default_factory=list)
    points: int = 0
    same_class: int = 0
    strange: int = 0

    def add(self, stamp_ns: int, live: Segmentation, offline: Segmentation) -> None:
        """Compare the labels of one scan."""
        self.compared += 1
        self.points += len(live.class_id)
        self.same_class += int((live.class_id == offline.class_id).sum())
        pairs = ((getattr(live, name), getattr(offline, name)) for name in ("class_id", "probability", "entropy"))
        if any(ours.tobytes() != theirs.tobytes() for ours, theirs in pairs):
            self.unequal.append(stamp_ns)

    def holds(self, on_gpu: bool) -> bool:
        """Return whether all bits are equal, on a GPU the classes of nearly all points."""
        return self.same_class >= GPU_SHARE * self.points if on_gpu else not self.unequal


@dataclass(frozen=True)
class Check:
    """Something that must hold, what was found, and whether it does."""

    claim: str
    found: str
    held: bool


def paired(
    frames: Iterable[Frame], labels: Iterator[LabelCloud], core: SegmentsScans, agreement: Agreement
) -> Iterator[Labelled]:
    """Yield the frames whose labels came, with these labels, and count how they agree with the core's own.

    Both are in the order in which the scans were played. A label cloud belongs to the next scan of its very stamp and
    points. Frames without labels are passed over.

    Args:
        frames: of the bag.
        labels: of the live node.
        core: labels the scans again, offline.
        agreement: counts into this.
    """
    cloud = next(labels, None)
    for frame in frames:
        if cloud is None:
            return
        stamp_ns, points, live = cloud
        if stamp_ns != frame.scan.stamp_ns or not np.array_equal(points, frame.scan.points, equal_nan=True):
            continue
        agreement.add(stamp_ns, live, core.segment(frame.scan))
        yield frame, live
        cloud = next(labels, None)
    agreement.strange += (cloud is not None) + sum(1 for _ in labels)


def dropped_stamps(sent: Sequence[int], delivered: Iterable[int]) -> list[int]:
    """Return the stamps that were sent and not delivered, in order; one that was sent twice counts twice [ns]."""
    left, dropped = Counter(delivered), list[int]()
    for stamp_ns in sent:
        if left[stamp_ns] > 0:
            left[stamp_ns] -= 1
        else:
            dropped.append(stamp_ns)
    return dropped


def judge(
    agreement: Agreement, counts: NodeCounts, sent: int, total: int, dropped: Sequence[int], *, on_gpu: bool
) -> list[Check]:
    """Return what must hold for the live node to be believed.

    Args:
        agreement: of the label clouds that were delivered.
        counts: of the live node, from the first scan sent until it was at rest.
        sent: scans sent.
        total: scans of the bag.
        dropped: see `dropped_stamps`.
        on_gpu: labels were computed on a GPU.
    """
    delivered = sent - len(dropped)
    arrived, never = counts.received + (counts.lost or 0), counts.lost
    if never is None:  # then it is only known by difference
        arrived, never = sent, sent - counts.received
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.dropped.items()) or "none"
    return [
        Check(
            "the whole bag was played and compared",
            f"{sent} sent of {total}, {agreement.compared} compared",
            sent == total > 0 and agreement.compared == delivered > 0,
        ),
        Check(
            "each label cloud is of one scan of the bag, in order",
            f"{agreement.strange} are not",
            agreement.strange == 0,
        ),
        Check(
            "the node counts as labelled what was delivered",
            f"{counts.labelled} and {delivered}",
            counts.labelled == delivered,
        ),
        Check(
            "the list of dropped stamps equals the node's counters",
            f"{len(dropped)} stamps; dropped {reasons}; never arrived {never}",
            len(dropped) == sum(counts.dropped.values()) + never and arrived == sent,
        ),
        _equal(agreement, on_gpu),
    ]


def live_tables(checks: Sequence[Check], counts: NodeCounts, sent: int, dropped: Sequence[int]) -> dict[str, Any]:
    """Return the tables of a report on a live node; stamps stand as text, since not every reader keeps 64 bits."""
    rows = [["sent", sent], ["received by the node", counts.received], ["labelled", counts.labelled]]
    rows += [[f"dropped: {reason}", count] for reason, count in counts.dropped.items()]
    rows += [["never arrived", sent - counts.received if counts.lost is None else counts.lost]]
    return {
        "What must hold": {
            "columns": ["claim", "found", "held"],
            "rows": [[check.claim, check.found, "yes" if check.held else "NO"] for check in checks],
        },
        "Scans": {"columns": ["what", "scans"], "rows": rows},
        "Dropped scans": {"columns": ["stamp [ns]"], "rows": [[str(stamp)] for stamp in dropped]},
    }


def _equal(agreement: Agreement, on_gpu: bool) -> Check:
    held = agreement.holds(on_gpu)
    if on_gpu:
        share = agreement.same_class / agreement.points if agreement.points else 0.0
        return Check(f"{GPU_SHARE:.1%} of points have the offline run's class", f"{share:.4%}", held)
    equal = agreement.compared - len(agreement.unequal)
    return Check("labels are bit-equal to the offline run's", f"{equal} of {agreement.compared} scans", held)
