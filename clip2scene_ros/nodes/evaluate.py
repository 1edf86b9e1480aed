"""The evaluation node: plays a bag into the live node, scores the labels that come back, and asks the offline core.

A gate: exit code 0 means that every scan delivered has the offline run's labels and that every other one is on the
list of dropped stamps, which is as long as the live node's own counters say. docs/replay.md tells the rest.
"""

from __future__ import annotations

import argparse
import queue
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from rclpy.utilities import remove_ros_args

from clip2scene_ros import terminal
from clip2scene_ros.agreement import (
    Agreement,
    LabelCloud,
    NodeCounts,
    dropped_stamps,
    judge,
    live_tables,
    paired,
)
from clip2scene_ros.config import EvaluateNodeConfig, SegmenterConfig, SegmentNodeConfig
from clip2scene_ros.errors import BadBag, BadConfig, NodeFailed
from clip2scene_ros.evaluation import Evaluation, evaluate
from clip2scene_ros.frame import Frame
from clip2scene_ros.io.bag_frames import BagTopics, points_topic
from clip2scene_ros.io.bags import BagReader, BagWriter
from clip2scene_ros.io.stamps import cdr_stamp_ns
from clip2scene_ros.nodes.background import meanwhile
from clip2scene_ros.nodes.conversions import read_labels
from clip2scene_ros.nodes.counters import NodeCounters
from clip2scene_ros.nodes.live_settings import live_settings
from clip2scene_ros.nodes.parameters import declare, unknown_overrides
from clip2scene_ros.nodes.peer import Peer
from clip2scene_ros.nodes.process import ros_arguments
from clip2scene_ros.nodes.replay import Arrived, Player
from clip2scene_ros.nodes.signals import Signals
from clip2scene_ros.offline import LABELS, play_clouds
from clip2scene_ros.report.folder import ReportFolder, check_free
from clip2scene_ros.settings import settings_of
from clip2scene_ros.truth import has_truth, truth_frames

if TYPE_CHECKING:
    from clip2scene_ros.student.segmenter import Segmenter

NODE_NAME = "clip2scene_evaluate"
LABELS_BAG = "labels.mcap"
START_S = 120.0
"""How long to wait for the live node: on a busy machine it takes half a minute to load torch and its weights."""

LABELS_S = 30.0
LAST_WORDS_S = 3.0
"""How long to wait for labels and counters after Ctrl-C, which may have ended the live node, too."""

NO_TRUTH = "The bag has no ground truth: agreement with the offline run and latency only, no IoU."


@dataclass
class Played:
    """What became of a replay: stamps sent and delivered in order [ns], latencies [ms], the node's counts."""

    sent: list[int]
    delivered: list[int]
    latency_ms: list[float]
    counts: NodeCounts


class LiveEvaluation:
    """One evaluation, step by step; what can be wrong is found before the first cloud is sent.

    Args:
        config: what to play, how, and where the report goes.
        peer: in the namespace of the live node.
        bag: the open bag.
        arrived: where the peer puts the labels.
        signals: of this process.

    Raises:
        BadBag: no or several clouds to choose from, or a topic of another kind.
        BadConfig: the output is there already.
    """

    def __init__(
        self, config: EvaluateNodeConfig, peer: Peer, bag: BagReader, arrived: Arrived, signals: Signals
    ) -> None:
        self.config = config
        self._peer, self._bag, self._arrived, self._signals = peer, bag, arrived, signals
        self._topic = points_topic(bag, BagTopics(points=config.topic))
        self._folder = ReportFolder(Path(config.out), config.overwrite)
        self._labels = Path(config.out) / LABELS_BAG
        check_free(config.overwrite, self._labels)
        self._cut = ""
        self.total = bag.topics[self._topic][1]
        if not self.total:
            raise BadBag("no_scans", f"{bag.path}: {self._topic} holds no cloud.")

    def run(self) -> int:
        """Play, compare, score, write and tell; return the exit code."""
        live = live_settings(self._peer, START_S)
        core = self._load(live.segmenter)
        frames = self._frames(core, live)
        played = self._play(NodeCounters(self._peer))
        agreement = Agreement()
        with BagReader(self._labels) as labels:
            pairs = paired(frames, _label_clouds(labels), core, agreement)
            result = evaluate(self._signals.until_asked(pairs), core.class_set, scenes=repeat(self._bag.path.name))
        result.latency_ms = played.latency_ms
        dropped = dropped_stamps(played.sent, played.delivered)
        checks = judge(agreement, played.counts, len(played.sent), self.total, dropped, on_gpu=_on_gpu(live.segmenter))
        tables = live_tables(checks, played.counts, len(played.sent), dropped)
        self._write(result, core, live, tables, self._notes(core, played, agreement))
        for check in checks:
            terminal.say(f"{'held ' if check.held else 'FAILED'} {check.claim}: {check.found}")
        return self._signals.exit_code or (terminal.OK if all(check.held for check in checks) else terminal.BAD_INPUT)

    def _load(self, config: SegmenterConfig) -> Segmenter:
        """Load the live node's student, interruptibly: torch alone takes seconds."""
        from clip2scene_ros.nodes.segment import load_segmenter

        try:
            core = meanwhile(partial(load_segmenter, config), lambda: None, lambda: not self._signals.pending)
        except InterruptedError:
            self._signals.check()
            raise
        terminal.complain(core.describe())
        return core  # type: ignore[return-value]  # the node's own view of it is narrower

    def _frames(self, core: Segmenter, live: SegmentNodeConfig) -> Iterator[Frame]:
        if has_truth(self._bag):
            return truth_frames(self._bag, core.class_set, self.config.topic, limits=live.cloud)
        terminal.complain(NO_TRUTH)
        return self._bag.frames(BagTopics(points=self.config.topic), limits=live.cloud)

    def _play(self, counters: NodeCounters) -> Played:
        self._peer.greet(START_S)
        before = counters.at_rest(START_S)
        self._labels.parent.mkdir(parents=True, exist_ok=True)
        terminal.complain(f"playing {self.total} clouds of {self._topic} into {self._peer.topic}")

        def settled(sent: int) -> bool:
            new = counters.counts().since(before)
            return new.labelled + new.unlabelled == sent

        def all_heard() -> bool:
            return counters.counts().since(before).labelled == len(self._peer.labels)

        with BagWriter(self._labels, overwrite=self.config.overwrite) as out:
            player = Player(self._peer, out, self._arrived, self.config.rate, LABELS_S, settled)
            try:
                for stamp_ns, data in play_clouds(self._bag, self._topic, None):
                    player.play(data, stamp_ns)
                    self._check_played()
            except (KeyboardInterrupt, NodeFailed) as end:
                if not player.sent:
                    raise
                self._cut_short(str(end) if isinstance(end, NodeFailed) else "interrupted")
            patience_s = LAST_WORDS_S if self._cut else LABELS_S
            try:
                self._peer.wait(lambda: settled(len(player.sent)) and all_heard(), patience_s)
                player.finish(patience_s)
            except KeyboardInterrupt:
                self._cut_short("interrupted")
        if not self._peer.labels:
            raise NodeFailed("no_labels", f"The live node labelled none of {len(player.sent)} clouds; see its log.")
        counts = counters.counts().since(before)
        delivered = [stamp for stamp, _ in self._peer.labels]
        return Played(player.sent, delivered, self._peer.latencies_ms(), counts)

    def _check_played(self) -> None:
        self._signals.check()
        if not self._peer.is_heard():
            raise NodeFailed("node_gone", f"the live node has ended: nobody subscribes to {self._peer.topic} any more")

    def _cut_short(self, why: str) -> None:
        self._signals.answer()
        self._cut = why
        terminal.complain(f"{why}; the report of what there was follows.")

    def _notes(self, core: Segmenter, played: Played, agreement: Agreement) -> list[str]:
        notes = [f"{core.card.notice}."]
        if cut := self._cut or ("interrupted" if self._signals.exit_code else ""):
            compared = f"of {self.total} scans {len(played.sent)} were played and {agreement.compared} compared"
            notes.append(f"PARTIAL: {cut}; {compared}.")
        if not has_truth(self._bag):
            notes.append(NO_TRUTH)
        pace = f"at {self.config.rate:g} times the recorded pace" if self.config.rate else "in lock-step"
        delivered = len(played.sent) - len(dropped_stamps(played.sent, played.delivered))
        notes.append(
            f"Labels of the live node over DDS, {pace}: {delivered} of {len(played.sent)} scans; latency is from "
            "sending a cloud to receiving its labels, between two processes."
        )
        return notes

    def _write(
        self, result: Evaluation, core: Segmenter, live: SegmentNodeConfig, tables: dict[str, object], notes: list[str]
    ) -> None:
        from clip2scene_ros.report.evaluation import build_report, sha256_of, table, weights_sha256

        given = {name: value for name, value, f in settings_of(self.config) if value != f.default}
        report = build_report(
            result,
            data_sha256=sha256_of(self._bag.path),
            weights_sha256=weights_sha256(live.segmenter),
            world=self._bag.world(),
            command=" ".join(["evaluate_node", *ros_arguments(given, {})]),
            settings={name: value for name, value, _ in settings_of(live)} | {"replay.rate": self.config.rate},
            tables=tables,
            notes=notes,
        )
        written = self._folder.write(result, report, self._bag.path.name, core.card.notice)
        terminal.say("\n".join([table(report), *notes, *map(str, [*written, self._labels])]))


def _label_clouds(bag: BagReader) -> Iterator[LabelCloud]:
    """Yield the label clouds of a bag in the order of their arrival."""
    for _, _, _, data in bag.raw({LABELS}):
        yield cdr_stamp_ns(data), *read_labels(data)


def _on_gpu(config: SegmenterConfig) -> bool:
    from clip2scene_ros.student.segmenter import choose_device

    return choose_device(config.device).type != "cpu"


def main(args: Sequence[str] | None = None) -> int:
    """Run `evaluate_node`; return 0 where all held, 1 where not or on bad input, 130 or 143 on a signal."""
    words = list(sys.argv if args is None else args)
    parser = argparse.ArgumentParser(
        prog="evaluate_node",
        description="Plays a bag into the running segment_node and scores what it answers.",
        epilog="example: evaluate_node --ros-args -p bagfile:=drive.mcap -p out:=report",
    )
    try:
        parser.parse_args(remove_ros_args(words)[1:])
    except RuntimeError as error:  # rcl's own, with a text that says which argument it cannot read
        parser.error(" ".join(str(error).split()))
    signals = Signals()
    return terminal.run(lambda: _run(words, signals))


def _run(words: list[str], signals: Signals) -> int:
    arrived: Arrived = queue.SimpleQueue()
    hear: Callable[[bytes, int], None] = lambda data, stamp_ns: arrived.put((data, stamp_ns))  # noqa: E731
    with Peer("", hear, signals.check, NODE_NAME, words[1:]) as peer:
        config = declare(peer.node, EvaluateNodeConfig())
        for name in unknown_overrides(peer.node, config):
            terminal.complain(f"unknown parameter `{name}` is ignored: a typing error?")
        if not config.bagfile:
            raise BadConfig("bagfile", "Parameter `bagfile` is empty: name a bag, `-p bagfile:=drive.mcap`.")
        with BagReader(config.bagfile) as bag:
            return LiveEvaluation(config, peer, bag, arrived, signals).run()


if __name__ == "__main__":
    sys.exit(main())
