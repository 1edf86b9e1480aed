"""Spatial-temporal consistency against CLIP2Scene's `fusionNet` and against a reading of the paper's equations.

The official code keeps the first 8 pairs of a cell after a sort that is not stable. Which 8 these were in the three
over-full cells is read off its gradient, which is 0 for the others; everywhere else there is no choice.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from clip2scene_training.config import OFFICIAL_LOSSES, SpaceTimeConfig
from clip2scene_training.consistency import attend, group, space_time_loss

OFFICIAL = OFFICIAL_LOSSES.space_time
PAPER = SpaceTimeConfig(centre="free", limit=0)
"""The equations as they are printed, without our cure against growing lengths."""


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parent / "fusion.npz") as data:
        return {name: torch.from_numpy(np.asarray(data[name])) for name in data}


@pytest.fixture(scope="module")
def kept(golden):
    """Numbers of the pairs that had a slot."""
    over_full = torch.bincount(golden["grid"])[golden["grid"]] > 8
    rows = (~over_full | (golden["grad_point_norm"] > 0)).nonzero().squeeze(1)
    assert torch.bincount(golden["grid"][rows], minlength=24).tolist() == golden["slot_used"].sum(1).tolist()
    return rows


def official_loss(golden, kept, points, **changed):
    cell, labels = golden["grid"][kept], golden["label"][kept]
    return space_time_loss(points[kept], None, golden["text"], cell, labels, replace(OFFICIAL, **changed))


def test_official_centres_and_classes(golden, kept):
    cells = group(golden["grid"][kept], golden["label"][kept])
    centres = attend([golden["point_feat"][kept][cells.pairs]], golden["text"], cells)
    np.testing.assert_allclose(centres, golden["fusion"], atol=1e-5)
    assert cells.class_id.tolist() == golden["pixel_pred"].tolist()


def test_official_agreement_in_every_slot_that_is_filled(golden, kept):
    cells = group(golden["grid"][kept], golden["label"][kept])
    points = golden["point_feat"][kept]
    inner = torch.sigmoid((points * attend([points], golden["text"], cells)[cells.cell]).sum(1))
    for number, slots in enumerate(golden["inner"]):
        mine = inner[cells.cell == number]
        padded = functional.pad(mine, (0, 8 - len(mine)), value=0.5)
        np.testing.assert_allclose(padded.sort().values, slots.sort().values, atol=1e-5)


def test_official_loss_and_gradient_with_padded_slots(golden, kept):
    points = golden["point_feat"].clone().requires_grad_()
    loss = official_loss(golden, kept, points)
    loss.backward()
    assert loss.item() == pytest.approx(golden["loss"].item(), abs=1e-6)
    np.testing.assert_allclose(points.grad[:20], golden["grad_point"], atol=1e-8, rtol=1e-4)
    np.testing.assert_allclose(points.grad.norm(dim=1), golden["grad_point_norm"], atol=1e-8, rtol=1e-4)


@pytest.mark.parametrize("changed", [{"mean_over": "points"}, {"mean_over": "cells"}, {"centre": "normalized"}])
def test_each_official_fault_changes_the_loss(golden, kept, changed):
    loss = official_loss(golden, kept, golden["point_feat"], **changed)
    assert abs(loss.item() - golden["loss"].item()) > 1e-3


def test_a_detached_centre_changes_the_gradient_alone(golden, kept):
    points = golden["point_feat"].clone().requires_grad_()
    loss = official_loss(golden, kept, points, centre="detached")
    loss.backward()
    assert loss.item() == pytest.approx(golden["loss"].item(), abs=1e-6)
    assert not np.allclose(points.grad[:20], golden["grad_point"], atol=1e-8, rtol=1e-2)


def test_centres_of_pixels_and_points_as_the_paper_has_them(golden):
    cells = group(golden["grid"], golden["label"])
    centres = attend([golden["point_feat"], golden["pixel_feat"]], golden["text"], cells)
    np.testing.assert_allclose(centres, golden["paper_f"], atol=1e-5)
    assert golden["grid"].unique().tolist() == golden["paper_grid_ids"].tolist()


@pytest.mark.parametrize(
    ("mean_over", "entry"), [("cells", "paper_eq2_div_grids"), ("points", "paper_eq2_mean_points")]
)
def test_loss_of_the_paper_by_cells_and_by_points(golden, mean_over, entry):
    loss = space_time_loss(
        golden["point_feat"],
        golden["pixel_feat"],
        golden["text"],
        golden["grid"],
        golden["label"],
        replace(PAPER, mean_over=mean_over),
    )
    assert loss.item() == pytest.approx(golden[entry].item(), abs=1e-5)
