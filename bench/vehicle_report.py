"""What the rows that a node said of itself add up to, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vehicle_processes import Watched

Rows = Sequence[tuple[float, dict[str, str]]]
NAMES = ("all cameras", "one dead", "it is back")
GOAL_MB = 2.0
WAITED = "waited_"


def account(node: str, sent: dict[str, int], row: dict[str, str]) -> dict[str, Any]:
    """Return where the scans went by the node's last row, and whether each of them went somewhere.

    Args:
        node: `collect` or `segment`.
        sent: messages by topic.
        row: of /diagnostics.
    """
    scans, views = sent.get("points", 0), {k.split("/")[0]: n for k, n in sent.items() if k != "points"}
    if node == "segment":
        arrived, ends = number(row, "received"), {"labelled": number(row, "labelled"), **reasons(row, "dropped.")}
        left = {"pending": number(row, "pending")}
    else:
        arrived = number(row, "scans")
        ends = {name: number(row, f"sets_{name}") for name in ("full", "partial")} | reasons(row, "scans_dropped.")
        left = {"waiting": number(row, "scans_waiting")}
    all_told = bool(scans and row) and arrived == sum(ends.values()) + sum(left.values()) and arrived <= scans
    result: dict[str, Any] = {
        "sent": scans,
        "lost_before_arrival": scans - arrived,
        "scans": ends | left,
        "accounted_for": all_told,
    }
    if node == "collect":
        sets = {"kept": number(row, "kept"), **reasons(row, "dropped.")}
        held = {name: number(row, name) for name in ("waiting", "remembered", "at_worker")}
        result |= {
            "sets": sets | held,
            "images_left_out": reasons(row, "images_left_out."),
            "missing": {camera: reasons(row, f"{camera}.missing.") for camera in views},
            "images_lost": {camera: n - number(row, f"{camera}.received") for camera, n in views.items()},
            "kept_mb": float(row.get("kept_mb", 0.0)),
            "worker_deaths": number(row, "worker_deaths"),
        }
        emitted = ends["full"] + ends["partial"]
        result["accounted_for"] &= emitted == number(row, "received") == sum(sets.values()) + sum(held.values())
    return result


def number(row: dict[str, str], key: str) -> int:
    """Return a count of a row, 0 where it has none."""
    return int(row.get(key, 0))


def reasons(row: dict[str, str], prefix: str) -> dict[str, int]:
    """Return the counts whose names begin so, without that."""
    return {key.removeprefix(prefix): int(value) for key, value in row.items() if key.startswith(prefix)}


def phases(node: str, rows: Rows, edges: Sequence[float]) -> list[dict[str, Any]]:
    """Return what the node did before the camera died, while it was dead, and afterwards.

    Args:
        node: `collect` or `segment`.
        rows: by time since the drive began [s].
        edges: four times [s]; a count at an edge is that of the last row before it.
    """
    keys = ("received", "labelled") if node == "segment" else ("scans", "sets_full", "sets_partial", "kept")
    found = []
    for i, name in enumerate(NAMES):
        last = i == len(NAMES) - 1
        until = rows if last else [pair for pair in rows if pair[0] <= edges[i + 1]]
        before = [pair for pair in rows if pair[0] <= edges[i]]
        if not until or edges[i + 1] <= edges[i] or rows[-1][0] < edges[i]:
            continue
        end, start = until[-1][1], before[-1][1] if before else {}
        counts = {key: number(end, key) - number(start, key) for key in keys}
        waited = {key: float(value) for key, value in end.items() if key.startswith(WAITED)}
        found.append({"name": name, **counts, **waited})
    return found


def said_of_camera(rows: Rows, camera: str, death_s: tuple[float, float]) -> dict[str, float | str | None]:
    """Return how long after its death, and after its return, the node called the camera silent, and not [s]."""

    def first(from_s: float, value: str) -> float | None:
        times = (at_s - from_s for at_s, row in rows if at_s > from_s and row.get(f"{camera}.silent") == value)
        return next(times, None)

    if death_s[1] <= death_s[0]:
        return {}
    return {"name": camera, "said_dead_s": first(death_s[0], "true"), "said_back_s": first(death_s[1], "false")}


def cpu(look: Watched) -> dict[str, float]:
    """Return the shares of a core of a process and of its children."""
    return {"itself": look.cpu_share(children=False), "children": look.cpu_share(children=True)}


def memory(look: Watched, from_s: float) -> dict[str, Any]:
    """Return the memory of the node and of its worker since a time, in total and what is its own, and all samples."""
    return {
        "node": look.grown(from_s, children=False),
        "node_anonymous": look.grown(from_s, children=False, part="anon"),
        "worker": look.grown(from_s, children=True),
        "samples": [
            {"at_s": at_s, "node": own, "worker": children if any(children.values()) else {}}
            for at_s, own, children in look.samples
        ],
    }


def listed(counts: dict[str, int]) -> str:
    """Return counts as one line."""
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "none"


def show(result: dict[str, Any]) -> None:
    """Print the figures."""
    kb = {name: size / 1000 for name, size in result["bytes"].items()}
    images = [size for name, size in kb.items() if not name.startswith("points_")]
    print(
        f"{result['node']}_node, {result['seconds'] / 60:g} minutes; {result['points']} points at 10 Hz from ", end=""
    )
    print(f"{result['source']}; {len(images)} cameras at 12 Hz, JPEGs of {min(images):.0f} to {max(images):.0f} kB")
    late = result["sender_late_ms"]
    print(f"{result['cores']} cores, load {result['load_average'][0]:.1f}; the sender was late by ", end="")
    print(", ".join(f"{name} {ms:.1f}" for name, ms in late.items()) + " ms")
    if result["ended"]:
        print(f"ENDED EARLY: {result['ended']}")
    print(f"scans: sent {result['sent']}, lost before arrival {result['lost_before_arrival']}, ", end="")
    print(f"{listed(result['scans'])}; accounted for: {'yes' if result['accounted_for'] else 'NO'}")
    for phase in result["phases"]:
        print(f"  {phase['name']:<12}" + ", ".join(f"{k} {v:g}" for k, v in phase.items() if k != "name"))
    if result["node"] == "collect":
        show_collected(result)
    else:
        print("send to labels [ms]: " + ", ".join(f"{name} {ms:.1f}" for name, ms in result["delay_ms"].items()))
    for name, shares in result["cpu_share"].items():
        print(f"share of a core: {name} {shares['itself']:.1%}, its children {shares['children']:.1%}")
    show_memory(result["memory"])


def show_collected(result: dict[str, Any]) -> None:
    """Print what is the collector's alone."""
    print(
        f"sets: {listed(result['sets'])}; {result['kept_mb']:.1f} MB kept; worker died {result['worker_deaths']} times"
    )
    missing = ", ".join(f"{camera} ({listed(why)})" for camera, why in result["missing"].items() if any(why.values()))
    print(f"views missing: {missing or 'none'}; images lost before arrival: {listed(result['images_lost'])}; ", end="")
    print(f"left out: {listed(result['images_left_out'])}")
    if result["camera"]:
        times = {k: v for k, v in result["camera"].items() if k != "name"}
        said = ", ".join(f"{k} {'never' if v is None else f'{v:.1f}'}" for k, v in times.items())
        print(f"{result['camera']['name']}: {said}")


def show_memory(memory: dict[str, Any]) -> None:
    """Print how each memory grew."""
    for name in ("node", "node_anonymous", "worker"):
        if (m := memory[name]) and m["from_mb"]:
            low, high = m["interval_mb_h"]
            print(
                f"memory of {name:<15}{m['from_mb']:8.1f} MB at {m['from_s']:.0f} s, {m['end_mb']:.1f} at the end: ",
                end="",
            )
            print(f"{m['grown_mb']:+.2f} MB (goal {GOAL_MB:g}); {m['slope_mb_h']:+.2f} MB/h [{low:+.2f}, {high:+.2f}]")
