"""What does a crash cost who collects? A writer is killed at random moments, a disk filled, bits flipped.

1. Kills: a process appends frames and is ended by SIGKILL at a random moment; each fourth time the process that then
   mends is killed as well. Then the shards are mended and every frame in them is compared, bit by bit, with what was
   appended. At most the frame in hand may be lost.
2. The same on a disk that is full (a tmpfs, which only an administrator can mount), where now and then a shard is
   taken away to make room.
3. Flipped bits: each must be found, and shard, record and member be named.
4. What appending a frame of the synthetic world with six images costs, in time and bytes.

    python bench/kill_shards.py --kills 200 --full-kills 40 --flips 1000 --appends 200 --json kills.json
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from kill_shards_cost import appends
from kill_shards_frames import CONFIG, POINTS, SOURCE, frame_of, one_of, same, stamp_number

from clip2scene_ros.errors import BadDataset, CannotStore
from clip2scene_ros.io.shards import ShardReader, ShardWriter

LIMIT_MS = 1000.0
FULL_MB = 32
KEPT_SHARDS = 40


@dataclass
class Tally:
    """What a campaign did and found."""

    kills: int = 0
    menders_killed: int = 0
    mended: int = 0
    begun: int = 0
    appended: int = 0
    kept: int = 0
    refused: int = 0
    lost: int = 0
    most_lost_by_a_kill: int = 0
    torn_tails: int = 0
    mending_ms: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    """Run what is asked for and print what was found; the exit code is 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--full-kills", type=int, default=40)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--appends", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    logging.getLogger("clip2scene_ros").setLevel(logging.ERROR)  # each torn tail is a warning
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.kills:
            results["kills"] = told("kills", campaign(folder / "kills", arguments.kills, arguments.seed))
        if arguments.full_kills:
            results["full"] = on_full_disk(folder / "full", arguments.full_kills, arguments.seed)
        if arguments.flips:
            results["flips"] = flips(folder / "flips", arguments.flips, arguments.seed)
        if arguments.appends:
            results["appends"] = [appends(folder, arguments.appends, encoded) for encoded in (True, False)]
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    broken = [name for name, each in results.items() if isinstance(each, dict) and each.get("broken")]
    if broken:
        raise SystemExit(f"broken: {', '.join(broken)}")


def campaign(folder: Path, kills: int, seed: int, *, full: bool = False) -> Tally:
    """Kill writers in `folder`, mend, compare; return what was found."""
    for kind in range(len(POINTS)):
        one_of(kind)
    rng, tally, next_frame, shards = random.Random(seed), Tally(), 0, dict[Path, set[int]]()
    while tally.kills < kills:
        begun, acknowledged, refused = killed_writer(folder, next_frame, rng)
        tally.kills += 1
        next_frame += len(begun)
        if tally.kills % 4 == 0:
            killed_writer(folder, next_frame, rng, append=False)
            tally.menders_killed += 1
        started = time.perf_counter()
        with ShardWriter(folder, SOURCE, CONFIG) as writer:
            tally.mending_ms.append(1e3 * (time.perf_counter() - started))
        tally.mended += not list(folder.glob("*.partial"))
        tally.torn_tails += sum(each.lost for each in writer.mended)
        found = compare(folder, shards, tally)
        tally.wrong += [f"frame {i} was appended, but is gone" for i in acknowledged if i not in found]
        lost = len(set(begun) - found - set(refused))
        tally.lost, tally.most_lost_by_a_kill = tally.lost + lost, max(tally.most_lost_by_a_kill, lost)
        tally.begun, tally.appended = tally.begun + len(begun), tally.appended + len(acknowledged)
        tally.refused, tally.kept = tally.refused + len(refused), tally.kept + len(found)
        while len(shards) > KEPT_SHARDS or (full and shards and rng.random() < 0.3):  # a person makes room
            oldest = min(shards)
            oldest.unlink()
            del shards[oldest]
    before = dict(shards)
    shards.clear()
    compare(folder, shards, tally)  # what was right once still is
    tally.wrong += [f"{name} is not what it was" for name in before if before[name] != shards.get(name)]
    return tally


def killed_writer(
    folder: Path, first: int, rng: random.Random, *, append: bool = True
) -> tuple[list[int], list[int], list[int]]:
    """Have a process append frames from `first` on, or only mend, and kill it at some moment.

    How fast frames are written depends on the machine, so the moment is so many words of the process, and then up to
    twice the time that it took for one.

    Returns:
        What it had begun to append, what `append` had returned of, and what had been refused.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            append_for_ever(folder, first, write, append)
        finally:
            os._exit(3)
    os.close(write)
    said, words, started = b"", rng.randrange(1, 26) if append else 1, time.perf_counter()
    while said.count(b"\n") < words and (more := os.read(read, 4096)):
        said += more
    time.sleep(rng.uniform(0.0, 2.0) * min(0.1, (time.perf_counter() - started) / words))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while more := os.read(read, 4096):
        said += more
    os.close(read)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"the writer ended by itself with {status}: {said[-40:]!r}")
    lines = said.decode().split("\n")[1:-1]
    return tuple([int(line[1:]) for line in lines if line[0] == kind] for kind in "bar")  # type: ignore[return-value]


def append_for_ever(folder: Path, first: int, pipe: int, append: bool) -> None:
    """Append frames, saying before and after each; only SIGKILL ends it."""
    os.write(pipe, b"-\n")
    with ShardWriter(folder, SOURCE, CONFIG) as writer:
        number = first
        while True:
            if not append:
                signal.pause()
            frame, labels, encoded = frame_of(number)
            os.write(pipe, b"b%d\n" % number)
            try:
                writer.append(frame, labels, encoded=encoded)
                os.write(pipe, b"a%d\n" % number)
            except CannotStore as error:
                os.write(pipe, b"r%d\n" % number)
                if error.reason != "full":
                    raise
            number += 1


def compare(folder: Path, known: dict[Path, set[int]], tally: Tally) -> set[int]:
    """Compare the frames in shards that are not known yet with what they must be; return their numbers."""
    found = set[int]()
    for shard in sorted(set(folder.glob("shard_*.tar*")) - set(known)):
        known[shard] = set()
        for record in ShardReader(shard):
            number = stamp_number(record)
            if number in found:
                tally.wrong.append(f"frame {number} is there twice")
            frame, labels, _ = frame_of(number)
            if not same(record.frame, frame) or not same(record.labels, labels):
                tally.wrong.append(f"frame {number} is not what was appended")
            known[shard].add(number)
            found.add(number)
    return found


def told(name: str, tally: Tally) -> dict[str, object]:
    """Print a campaign and return it for the JSON."""
    rounds, worst = len(tally.mending_ms), max(tally.mending_ms)
    broken = bool(tally.wrong) or tally.mended < rounds or tally.most_lost_by_a_kill > 1 or worst > LIMIT_MS
    print(
        f"{name}: {tally.kills} writers killed, and {tally.menders_killed} that were mending; mended {tally.mended} of "
        f"{rounds}, p50 {np.median(tally.mending_ms):.1f} ms, max {worst:.1f} ms\n"
        f"  frames: {tally.begun} begun, {tally.appended} appended, {tally.refused} refused, {tally.kept} found and "
        f"compared; lost {tally.lost}, at most {tally.most_lost_by_a_kill} by a kill; torn tails {tally.torn_tails}"
    )
    for wrong in tally.wrong[:10]:
        print(f"  WRONG: {wrong}")
    values = {**vars(tally), "mending_ms": {"p50": float(np.median(tally.mending_ms)), "max": worst}}
    return {**values, "broken": broken}


def on_full_disk(disk: Path, kills: int, seed: int) -> dict[str, object] | str:
    """Run a campaign on a disk that soon is full."""
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={FULL_MB}m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        print("full disk: not run, a tmpfs cannot be mounted here")
        return "not run"
    try:
        return told(f"full disk of {FULL_MB} MB", campaign(disk / "shards", kills, seed, full=True))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def flips(folder: Path, count: int, seed: int) -> dict[str, object]:
    """Flip one bit at a time anywhere in a record, and read that record."""
    with ShardWriter(folder, SOURCE, replace(CONFIG, max_shard_frames=3)) as writer:
        for i in range(6):
            frame, labels, encoded = frame_of(i)
            writer.append(frame, labels, encoded=encoded)
    reader, rng, where = ShardReader(folder), random.Random(seed), Counter[str]()
    found = 0
    for _ in range(count):
        index = rng.randrange(len(reader))
        shard, entry = reader.where(index)
        at, bit = rng.randrange(entry.offset, entry.end), rng.randrange(8)
        member = next(m for m in entry.members if m.offset <= at < m.end)
        flip(shard, at, bit)
        try:
            ShardReader(folder).record(index)
        except BadDataset as error:
            found += all(word in str(error) for word in (str(shard), entry.key, f"member {member.name} "))
            where[error.reason] += 1
        flip(shard, at, bit)
    print(f"flipped bits: {found} of {count} found and named ({', '.join(f'{k} {n}' for k, n in where.items())})")
    return {"flips": count, "found": found, "by": dict(where), "broken": found < count}


def flip(shard: Path, at: int, bit: int) -> None:
    """Flip a bit in place, without a trace in the file's times."""
    before = shard.stat()
    shard.chmod(0o644)
    with shard.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))


if __name__ == "__main__":
    sys.exit(main())
