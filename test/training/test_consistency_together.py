"""The losses as `docs/losses.md` puts them together, read from there: a small student learns from a few pairs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.student.networks import TwoHeads, build_network
from clip2scene_ros.student.sparse.tensor import SparseTensor
from clip2scene_ros.student.voxelization import voxelize
from clip2scene_training import consistency, losses, semantic, switching
from clip2scene_training.config import OFFICIAL_LOSSES, PretrainLossConfig, SwitchConfig

DIM, IMAGE_DIM, CLASSES, STEPS = 16, 24, 3, 12
EVERYTHING = PretrainLossConfig(switching=SwitchConfig(prediction="ema", decay=0.5, unpaired=True))


def sketch(project) -> dict:
    """Return what the page's Python block defines."""
    page = (project / "docs" / "losses.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("\nprojection = ")[0]
    names = {**vars(consistency), **vars(losses), **vars(semantic), **vars(switching)}
    exec(compile(code, "docs/losses.md", "exec"), names)
    return names


def make_batch() -> SimpleNamespace:
    """Two sweeps of one sample, each a network sample of its own: three heights are three classes, 70 % are paired."""
    rng = np.random.default_rng(0)
    points = rng.uniform([0, 0, 0], [2, 2, 3], (600, 3)).astype(np.float32)
    classes = torch.from_numpy(points[:, 2].astype(np.int64))
    sweeps = torch.arange(600) // 300
    voxels = [voxelize(points[sweeps == k], 0.2) for k in (0, 1)]
    coords = torch.cat([functional.pad(v.coords, (1, 0), value=k) for k, v in enumerate(voxels)])
    rows = torch.cat([voxels[0].inverse, voxels[1].inverse + len(voxels[0])])
    pairs = torch.from_numpy(np.flatnonzero(rng.random(600) < 0.7))
    labels = classes[pairs].clone()
    labels[torch.from_numpy(rng.random(len(pairs)) < 0.2)] = 255
    looks = functional.normalize(torch.from_numpy(rng.normal(size=(CLASSES, IMAGE_DIM)).astype(np.float32)), dim=1)
    return SimpleNamespace(
        voxels=SparseTensor(torch.ones(len(coords), 1), coords),
        rows=rows,
        points=pairs,
        labels=labels,
        pixels=looks[classes[pairs]] + 0.1 * torch.from_numpy(rng.normal(size=(len(pairs), IMAGE_DIM))).float(),
        cell=voxelize(points, 0.1).inverse,  # all sweeps
        classes=classes,
        scan=sweeps,
    )


@pytest.mark.parametrize(
    "config", [PretrainLossConfig(), EVERYTHING, OFFICIAL_LOSSES], ids=["default", "all", "official"]
)
def test_a_student_learns_from_the_losses_of_the_page(project, config):
    torch.manual_seed(0)
    batch, losses_of = make_batch(), sketch(project)["losses_of"]
    student = TwoHeads(build_network(NetworkConfig(embedding_dim=DIM)))
    projection = consistency.PixelProjection(IMAGE_DIM, DIM, config.space_time.learn_projection)
    ema = switching.MovingAverage(student, config.switching.decay)
    text = functional.normalize(torch.randn(CLASSES, DIM), dim=1)
    learned = [p for module in (student, projection) for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, 3e-3)
    history = []
    for step in range(STEPS):
        losses = losses_of(student, ema, projection, batch, text, None, config, 0, step, STEPS)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        ema.update(student)
        history.append({name: loss.item() for name, loss in losses.items()})
    assert history[-1]["semantic"] < 0.7 * history[0]["semantic"]
    assert history[-1]["space_time"] < history[0]["space_time"]
    assert ("unpaired" in history[-1]) == config.switching.unpaired
    assert "unpaired" not in history[0]
    assert student.local.weight.grad.any()
    assert student.network.head.weight.grad.any()
    gradient = projection.linear.weight.grad
    assert (gradient is not None and bool(gradient.any())) == config.space_time.learn_projection
