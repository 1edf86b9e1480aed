"""The rivals as `docs/rivals.md` wires them, read from there, on real samples: crops, pairs, superpixels, read-out."""

from __future__ import annotations

import pytest
import torch
from pretrain_scene import CLASSES
from test_pretrain_samples import CONFIG, labelled
from torch.nn import functional

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.sparse.tensor import SparseTensor
from clip2scene_training import consistency, rivals, semantic, superpixels, switching
from clip2scene_training.config import RIVALS
from clip2scene_training.pretrain_samples import PretrainSample, collate_pretrain, make_pretrain_sample
from clip2scene_training.readout import LinearProbe

DIM, STEPS = 16, 6


def sketch(project) -> dict:
    """Return what the page's Python block defines."""
    page = (project / "docs" / "rivals.md").read_text(encoding="utf-8")
    modules = (consistency, rivals, semantic, superpixels, switching)
    names = {"SCALE": 20.0, "SparseTensor": SparseTensor} | {
        name: value for module in modules for name, value in vars(module).items()
    }
    exec(compile(page.split("```python\n")[1].split("```")[0], "docs/rivals.md", "exec"), names)
    return names


def make_batch() -> PretrainSample:
    return collate_pretrain(
        [make_pretrain_sample(labelled(numbers), CONFIG, (0, 0, numbers[0])) for numbers in ((4, 3), (1,))]
    )


@pytest.mark.parametrize("name", RIVALS)
def test_a_student_learns_by_the_terms_of_the_page(project, name: str):
    torch.manual_seed(0)
    batch, terms_of, config = make_batch(), sketch(project)["terms_of"], RIVALS[name]
    network, projection = build_network(NetworkConfig(embedding_dim=DIM)), consistency.PixelProjection(DIM, DIM)
    text = functional.normalize(torch.randn(len(CLASSES), DIM), dim=1)
    features = functional.normalize(text[batch.pair_class] + 0.1 * torch.randn(len(batch.pair_class), DIM), dim=1)
    optimizer = torch.optim.AdamW([*network.parameters(), *projection.parameters()], 3e-3)
    history = []
    for step in range(STEPS):
        losses = terms_of(network, projection, batch, features, text, config, 0, step)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append(sum(loss.item() for loss in losses.values()))
    assert len(losses) == 1
    assert history[-1] < 0.98 * history[0]
    probe = LinearProbe(CLASSES, DIM)
    probe.add(network(SparseTensor(batch.feats, batch.coords))[batch.inverse], batch.class_id)
    assert probe.vectors().shape == (len(CLASSES), DIM)
