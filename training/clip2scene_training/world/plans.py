"""Families of street plans: what a street can be like before its seed says what it is like.

No plan of the `unseen` family has its counterpart in the `seen` one: a planted median between the directions, streets
of an old town without verge or kerb, squares, side roads that do not face each other, other widths of everything.
"""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[float, float]


@dataclass(frozen=True)
class Plan:
    """The ranges that a street's measures are drawn from.

    Attributes:
        weight: how often it is drawn among its family.
        zones: what may lie beside it, and how often.
        two_lanes, parking, verge: chances of a second lane each way, of a parking lane, of a verge.
        lane_m, kerb_m, median_m, parking_m, verge_m, sidewalk_m, block_m: measures [m].
        side_road_m: half the width of a side road [m].
        tee: chance that a side road lies on one side only.
        stagger_m: how far the two side roads of a crossing lie apart along the street [m].
        radius_m: of a bend's tightest part [m].
        grade: steepest slope of the road [m/m].
        cobbled: the road is paved with stone.
        people, cycles: how many people and two-wheelers there are, against the seen family; fewer in the other, whose
            sensors have more rays near the horizon.
    """

    weight: float
    zones: dict[str, float]
    two_lanes: float = 0.2
    parking: float = 0.38
    verge: float = 0.6
    tee: float = 0.4
    lane_m: Span = (2.9, 3.5)
    kerb_m: Span = (0.09, 0.18)
    median_m: Span = (0.0, 0.0)
    parking_m: Span = (2.2, 2.8)
    verge_m: Span = (1.2, 3.5)
    sidewalk_m: Span = (1.8, 4.0)
    block_m: Span = (45.0, 75.0)
    side_road_m: Span = (3.3, 5.5)
    stagger_m: Span = (0.0, 0.0)
    radius_m: Span = (95.0, 220.0)
    grade: float = 0.03
    cobbled: bool = False
    people: float = 1.0
    cycles: float = 1.0


USUAL = {"urban": 1.0, "suburb": 1.0, "park": 0.6, "industrial": 0.5, "parking": 0.5, "works": 0.5}

FAMILIES: dict[str, tuple[Plan, ...]] = {
    "seen": (
        Plan(0.60, USUAL),
        Plan(0.25, USUAL, two_lanes=1.0, lane_m=(3.1, 3.6), sidewalk_m=(2.5, 4.5), grade=0.02),
        Plan(0.15, USUAL, two_lanes=0.0, parking=0.15, verge=1.0, verge_m=(2.0, 5.0), grade=0.045),
    ),
    "unseen": (
        Plan(  # a boulevard: trees between the directions
            0.30, {**USUAL, "square": 0.4, "terrace": 0.6}, two_lanes=0.5, parking=0.6, lane_m=(3.0, 3.3),
            median_m=(3.0, 7.0), sidewalk_m=(4.0, 6.5), grade=0.02, block_m=(60.0, 90.0), people=0.6, cycles=0.35,
        ),
        Plan(  # an old town: narrow, paved with stone, hardly a kerb
            0.25, {"urban": 1.6, "terrace": 1.4, "square": 0.8, "works": 0.4, "parking": 0.3}, two_lanes=0.0,
            parking=0.25, verge=0.0, lane_m=(2.55, 2.85), kerb_m=(0.02, 0.06), sidewalk_m=(1.0, 1.9),
            side_road_m=(2.5, 3.2), block_m=(32.0, 50.0), radius_m=(85.0, 120.0), grade=0.06,
            cobbled=True, people=0.6, cycles=0.35,
        ),
        Plan(  # staggered crossings on a hillside
            0.25, {**USUAL, "hillside": 1.6}, two_lanes=0.0, tee=0.0, stagger_m=(12.0, 20.0), grade=0.07,
            verge_m=(0.6, 1.1), sidewalk_m=(1.3, 2.2), parking_m=(1.9, 2.1), kerb_m=(0.05, 0.09),
            block_m=(65.0, 85.0), people=0.6, cycles=0.35,
        ),
        Plan(  # a wide road past squares and yards
            0.20, {"square": 1.2, "industrial": 1.0, "parking": 0.8, "works": 0.6, "terrace": 0.6}, two_lanes=1.0,
            parking=0.0, lane_m=(3.5, 3.9), kerb_m=(0.18, 0.26), median_m=(1.0, 2.0), side_road_m=(5.5, 7.5),
            sidewalk_m=(5.0, 7.0), verge=0.3, grade=0.015, people=0.6, cycles=0.35,
        ),
    ),
}  # fmt: skip

BANKS: dict[str, tuple[float, float, float, float]] = {
    "urban": (0.0, 4.0, 0.0, 0.0),
    "suburb": (0.8, 3.8, -0.5, 1.3),
    "park": (1.0, 16.0, -0.8, 2.8),
    "industrial": (0.2, 2.5, -0.7, 0.9),
    "parking": (0.1, 1.5, -0.6, 0.8),
    "works": (1.2, 5.0, -0.9, 1.4),
    "square": (3.0, 3.6, 0.0, 0.5),
    "terrace": (0.2, 1.8, 0.0, 0.9),
    "hillside": (0.3, 9.0, -1.0, 4.0),
}
"""The ground behind the sidewalk rises from one distance [m] to another by something between two heights [m]."""

THEMES: tuple[dict[str, float], ...] = (
    {"urban": 3.0},
    {"works": 1.2, "urban": 1.0},
    {"suburb": 3.0},
    {"industrial": 3.0},
    {"park": 2.0, "suburb": 1.0},
    {"parking": 2.5, "urban": 0.5},
    {"works": 0.8, "industrial": 1.5},
    {"urban": 1.5, "park": 1.5},
)
"""What a scene has more of. Scenes with consecutive seeds take them in turn, so that no split lacks any."""
