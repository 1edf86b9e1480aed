"""What comes out of the synchroniser: sets of a scan and its views, and the account of everything that came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

ScanData = TypeVar("ScanData")
ViewData = TypeVar("ViewData")


@dataclass(frozen=True, eq=False)
class MatchedView(Generic[ViewData]):
    """A view that belongs to a scan.

    Attributes:
        stamp_ns: of the view [ns].
        payload: what was given to `add_view`, untouched.
        dt_ns: how far the view lies from the scan's stamp and the camera's offset, later is positive [ns].
        reused: whether an earlier set has it, too: the LiDAR is faster than the camera.
    """

    stamp_ns: int
    payload: ViewData
    dt_ns: int
    reused: bool


@dataclass(frozen=True, eq=False)
class ScanSet(Generic[ScanData, ViewData]):
    """A scan with the views that belong to it.

    Attributes:
        stamp_ns: of the scan [ns].
        source: which LiDAR.
        payload: what was given to `add_scan`, untouched.
        views: camera -> view, in the order of the configured cameras.
        missing: camera -> why it has no view here: `no_match` (what it sent lies too far away), `silent`, `timeout`,
            `queue_full` or `flush` (what ended the waiting).
        waited_ns: from the scan's arrival until the set was ready, by the clock of `advance` [ns]; None without one.
    """

    stamp_ns: int
    source: str
    payload: ScanData
    views: dict[str, MatchedView[ViewData]]
    missing: dict[str, str]
    waited_ns: int | None

    @property
    def full(self) -> bool:
        """Return whether every camera has a view here."""
        return not self.missing


@dataclass(frozen=True)
class CameraAccount:
    """What became of a camera's views: received = matched + dropped + held.

    Attributes:
        received: views given to `add_view`.
        matched: views that went into a set.
        reused: how often a view went into one more set.
        held: views that no set has yet.
        dropped: reason -> views: `unmatched` (no scan was nearest to them), `late` (their scans were gone when they
            came), `zero_stamp`, `duplicate_stamp`, `time_jump`.
        missing: reason -> sets without this camera, as in `ScanSet.missing`.
        max_dt_ns: largest distance of a matched view from its scan's stamp and the camera's offset [ns].
        time_jumps: how often its time went back, which empties its queue.
        silent: whether scans do not wait for it now.
    """

    received: int
    matched: int
    reused: int
    held: int
    dropped: dict[str, int]
    missing: dict[str, int]
    max_dt_ns: int
    time_jumps: int
    silent: bool


@dataclass(frozen=True)
class SyncAccount:
    """What became of the scans: received = full + partial + dropped + waiting.

    Attributes:
        received: scans given to `add_scan`.
        full: sets handed out with a view of every camera.
        partial: sets handed out with fewer.
        waiting: scans that wait for views, and sets that nobody took yet.
        dropped: reason -> scans: `zero_stamp`, `duplicate_stamp`, `out_of_order`, `time_jump`, `too_few_views`,
            `not_taken` (ready, but nobody came for them).
        time_jumps: how often a LiDAR's time went back, which empties all queues.
        max_waited_ns: longest time that a scan waited, by the clock of `advance` [ns].
        cameras: camera -> its account.
    """

    received: int
    full: int
    partial: int
    waiting: int
    dropped: dict[str, int]
    time_jumps: int
    max_waited_ns: int
    cameras: dict[str, CameraAccount]
