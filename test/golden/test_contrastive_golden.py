"""Semantic consistency and the contrast of pairs against numbers of CLIP2Scene's code and of its paper's equation 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clip2scene_training.contrast import distill_kl, info_nce
from clip2scene_training.semantic import semantic_loss, text_logits


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parent / "contrastive.npz") as data:
        return {name: torch.from_numpy(np.asarray(data[name])) for name in data}


@pytest.mark.parametrize(
    ("form", "entry"), [("ce", "scr_code_ce"), ("eq1", "scr_eq1_literal"), ("eq1_with_pos", "scr_eq1_with_pos_in_den")]
)
def test_each_form_of_semantic_consistency_equals_its_entry(golden, form, entry):
    temperature = 1.0 if form == "ce" else float(golden["tau"])
    logits = text_logits(golden["P"], golden["T"], temperature=temperature)
    assert semantic_loss(logits, golden["y"], form).item() == pytest.approx(golden[entry].item(), abs=1e-5)


def test_the_entries_need_their_temperature(golden):
    """Else the test above could not tell the paper's tau of 0.5 from none."""
    logits = text_logits(golden["P"], golden["T"])
    assert abs(semantic_loss(logits, golden["y"], "eq1").item() - golden["scr_eq1_literal"].item()) > 0.1


def test_contrast_of_pairs_equals_the_official_numbers(golden):
    k, q, temperature = golden["k"], golden["q"], float(golden["temperature"])
    assert info_nce(k, q, temperature).item() == pytest.approx(golden["nce"].item(), abs=1e-5)
    assert info_nce(k, q, temperature, golden["pseudo"]).item() == pytest.approx(golden["sem_nce"].item(), abs=1e-5)


def test_distillation_equals_the_official_number_and_knows_student_from_teacher(golden):
    student, teacher = golden["k"] @ golden["q"].T, golden["q"] @ golden["k"].T
    assert distill_kl(student, teacher).item() == pytest.approx(golden["kl"].item(), abs=1e-6)
    assert distill_kl(teacher, student).item() != pytest.approx(golden["kl"].item(), abs=1e-6)
