"""The live node's own account of its scans, as it stands on /diagnostics."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray

from clip2scene_ros.agreement import NodeCounts
from clip2scene_ros.errors import NodeFailed
from clip2scene_ros.nodes.peer import Peer
from clip2scene_ros.nodes.segment import NODE_NAME

DROPPED = "dropped."


class NodeCounters:
    """Hears the rows of the live node in the peer's own namespace; those of other vehicles are not its own.

    Attributes:
        row: the newest row, empty before the first.
    """

    def __init__(self, peer: Peer) -> None:
        self.row: dict[str, str] = {}
        self._before: dict[str, str] = {}
        self._rows = 0
        self._peer = peer
        self._name = f"{peer.node.get_namespace()}/{NODE_NAME}: segmentation".lstrip("/")
        peer.node.create_subscription(DiagnosticArray, "/diagnostics", self._keep, 10)

    def at_rest(self, timeout_s: float) -> NodeCounts:
        """Wait until two new rows in a row count the same and nothing is pending, and return the counts.

        Raises:
            NodeFailed: it did not come to rest in time.
        """
        seen = self._rows + 1  # a row that is under way may be older than what the node has just done
        if not self._peer.wait(lambda: self._rows > seen and self._is_at_rest(), timeout_s):
            raise NodeFailed("no_rest", f"{self._name} on /diagnostics did not come to rest within {timeout_s:.0f} s.")
        return self.counts()

    def counts(self) -> NodeCounts:
        """Return the counts of the newest row."""
        row = self.row
        return NodeCounts(
            received=int(row.get("received", 0)),
            labelled=int(row.get("labelled", 0)),
            dropped={key.removeprefix(DROPPED): int(n) for key, n in row.items() if key.startswith(DROPPED)},
            lost=int(row["lost_before_arrival"]) if row.get("lost_known_by") == "sequence numbers" else None,
        )

    def _is_at_rest(self) -> bool:
        return self.row.get("pending") == "0" and self.row.get("received") == self._before.get("received")

    def _keep(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == self._name:
                self._before, self.row = self.row, {value.key: value.value for value in status.values}
                self._rows += 1
