"""What the arrivals of a topic tell: scans out of order, and scans lost before they reached us.

No ROS here. DDS drops best-effort messages in silence, so the node has to notice by itself: by the
publisher's own sequence numbers where the middleware passes them on, else by gaps between stamps
against the publisher's learned period.
"""

from __future__ import annotations

import statistics
from collections import deque

JUMP_NS = 1_000_000_000
"""A stamp this far behind the last one is a looped bag or a reset clock, not a late scan."""

PATIENCE = 4
"""As many scans in a row behind the last one, in order among themselves, are a bag shorter than JUMP_NS that loops;
networks that reorder do so by one or two."""

PAUSE_NS = 5_000_000_000
"""A gap this long is a paused sensor or bag: nobody can tell how many scans it would have sent."""

GAPS_REMEMBERED = 50
GAPS_NEEDED = 5
MIXED_AFTER = 3
"""Sequence numbers that step back this often come from several publishers, and mean nothing together."""


class StampOrder:
    """Keeps scans in order: each stamp once, none older than the last, unless time itself jumped back."""

    def __init__(self) -> None:
        self.jumps = 0
        self.zero_stamps = 0
        self._last_ns = 0
        self._behind = self._behind_ns = 0

    def refuse(self, stamp_ns: int) -> str:
        """Return why a scan of this stamp must be dropped (`duplicate_stamp`, `out_of_order`), or an empty string.

        A stamp of zero means a driver without a clock: such scans pass, counted, and order is not checked.
        """
        if stamp_ns == 0:
            self.zero_stamps += 1
            return ""
        if stamp_ns <= self._last_ns:
            self._behind = self._behind + 1 if stamp_ns > self._behind_ns else 1
            self._behind_ns = stamp_ns
            if self._last_ns - stamp_ns < JUMP_NS and self._behind < PATIENCE:
                return "duplicate_stamp" if stamp_ns == self._last_ns else "out_of_order"
            self.jumps += 1
        self._last_ns = stamp_ns
        self._behind = self._behind_ns = 0
        return ""


class ForwardJumps:
    """Counts stamps that ran ahead of the clock of their arrival by more than a second: somebody set a clock."""

    def __init__(self) -> None:
        self.count = 0
        self._ahead_ns: int | None = None

    def arrived(self, stamp_ns: int, now_ns: int) -> None:
        """Note one arrival; a stamp of zero tells no time.

        Args:
            stamp_ns: of the message [ns].
            now_ns: the time, by a steady clock [ns].
        """
        if stamp_ns == 0:
            return
        ahead_ns = stamp_ns - now_ns
        self.count += self._ahead_ns is not None and ahead_ns - self._ahead_ns > JUMP_NS
        self._ahead_ns = ahead_ns


class LossDetector:
    """Counts the messages of one topic that never arrived.

    Args:
        expected_rate_hz: the publisher's rate; 0 learns it from the stamps [Hz].
    """

    def __init__(self, expected_rate_hz: float = 0.0) -> None:
        self.lost = 0
        self.exact = False
        """Whether `lost` comes from sequence numbers and not from an estimate."""
        self._expected_ns = 1e9 / expected_rate_hz if expected_rate_hz > 0 else 0.0
        self._gaps: deque[int] = deque(maxlen=GAPS_REMEMBERED)
        self._last_stamp_ns = 0
        self._last_sequence: dict[str, int] = {}
        self._back_steps = 0
        self._reported = 0

    @property
    def period_ns(self) -> float:
        """Return the publisher's period [ns], 0 until it is known.

        The first decile of the gaps: lost messages only lengthen gaps, so the short ones tell the period even
        where most messages are lost.
        """
        if self._expected_ns:
            return self._expected_ns
        if len(self._gaps) < GAPS_NEEDED:
            return 0.0
        return statistics.quantiles(self._gaps, n=10, method="inclusive")[0]

    def arrived(self, stamp_ns: int, sequence: int | None = None, publisher: str = "") -> int:
        """Note one arrival; return how many messages were lost since the one before.

        Args:
            stamp_ns: stamp of the message [ns].
            sequence: the publisher's sequence number, or None where the middleware has none.
            publisher: any text that tells publishers apart.
        """
        by_stamp = self._lost_by_stamp(stamp_ns)
        by_sequence = self._lost_by_sequence(sequence, publisher)
        self.exact = by_sequence is not None
        lost = by_stamp if by_sequence is None else by_sequence
        self.lost += lost
        return lost

    def due(self, first: int = 3) -> bool:
        """Return whether the user should hear of it now: after `first` losses, then each time they grew tenfold."""
        if self.lost < max(first, 10 * self._reported):
            return False
        self._reported = self.lost
        return True

    def _lost_by_stamp(self, stamp_ns: int) -> int:
        gap = stamp_ns - self._last_stamp_ns
        first, self._last_stamp_ns = self._last_stamp_ns == 0, stamp_ns
        if first or not 0 < gap < PAUSE_NS:
            return 0
        self._gaps.append(gap)
        period_ns = self.period_ns
        return max(0, round(gap / period_ns) - 1) if period_ns else 0

    def _lost_by_sequence(self, sequence: int | None, publisher: str) -> int | None:
        if sequence is None or not 0 < sequence < 2**63 or self._back_steps >= MIXED_AFTER:
            return None
        last = self._last_sequence.get(publisher)
        if len(self._last_sequence) > 100:  # publishers that came and went; bounded memory
            self._last_sequence.clear()
        self._last_sequence[publisher] = sequence
        if last is None:
            return 0
        if sequence <= last:
            self._back_steps += 1
            return 0
        return sequence - last - 1


def cure(profile: str) -> str:
    """Return why large clouds get lost and what to change."""
    return (
        "By default Fast DDS shares 0.5 MB of memory between processes and loses larger best-effort messages. Start "
        f"publisher and node with FASTDDS_DEFAULT_PROFILES_FILE={profile} (64 MB; this node takes it by itself unless "
        "you chose another), or let the publisher be reliable and set `points.reliability: reliable` here."
    )


def loss_advice(detector: LossDetector, topic: str, size_bytes: int, reliability: str, profile: str) -> str:
    """Return the text for a log: the topic, message size, QoS and the setting that cures the loss."""
    kind = "by sequence numbers" if detector.exact else "estimated from gaps between stamps"
    return (
        f"{detector.lost} scans of `{topic}` never arrived ({kind}); a message has {size_bytes / 1e6:.2f} MB, the "
        f"subscription is {reliability}. {cure(profile)}"
    )


def silence_advice(topic: str, publishers: int, profile: str) -> str:
    """Return the text for a log when a topic has publishers and yet nothing arrives."""
    return (
        f"`{topic}` has {publishers} publisher{'s' if publishers > 1 else ''}, but no scan arrives. Either nothing is "
        f"sent, or all of it is lost. {cure(profile)}"
    )
