"""What ROS's own synchroniser does wrong and ours must not: each defect is still present in theirs, or fixed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    import sync_probes

    return sync_probes


DEFECTS = (
    "blocked_after_an_exception",
    "dead_after_a_loop",
    "deaf_to_an_offset",
    "silent_with_a_dead_camera",
    "loses_sets_with_views",
    "takes_the_first_and_not_the_nearest",
    "blocks_others_during_a_callback",
    "works_through_the_product_of_the_queues",
)


def test_every_probe_is_tested_here(probes: ModuleType):
    assert tuple(probe.present.__name__ for probe in probes.PROBES) == DEFECTS
    assert {probe.kind for probe in probes.PROBES} == {"bug", "design"}


@pytest.mark.parametrize("defect", DEFECTS)
def test_our_synchroniser_has_no_such_defect(probes: ModuleType, defect: str):
    assert getattr(probes, defect)(probes.ours) is False


@pytest.mark.parametrize("defect", DEFECTS)
def test_message_filters_has_it_still_or_it_is_fixed(probes: ModuleType, defect: str):
    """Passes where it is fixed; where it is not, the reason of the expected failure says in which version."""
    reason = "message_filters absent: it comes with ROS, not from PyPI"
    theirs = pytest.importorskip("message_filters", reason=reason)
    present = getattr(probes, defect)(probes.theirs)
    if present is None:
        pytest.skip("message_filters of this version has no such feature")
    if present:
        pytest.xfail(f"still present in message_filters {probes.version(theirs)}")
