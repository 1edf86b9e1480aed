"""Two real processes learn what one learns that has the scans of both in one batch."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.frame import Frame, Scan
from clip2scene_training.config import FinetuneConfig
from clip2scene_training.finetune import finetune
from clip2scene_training.loader import Batches
from clip2scene_training.losses import supervised_loss
from clip2scene_training.running import ProcessFailed
from clip2scene_training.student import Student
from clip2scene_training.synchronized import average, synchronize

CONFIG = FinetuneConfig(network=NetworkConfig(width=0.25, embedding_dim=8, voxel_size_m=0.5), batch_size=4)
WEIGHTS = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
STEPS = 3


def street(count):
    """Return frames of different sizes and classes: processes have unequal shares of everything."""
    frames = []
    for i in range(count):
        rng = np.random.default_rng(i)
        points = rng.uniform(-8, 8, (250 + 40 * i, 3)).astype(np.float32)
        labels = (points[:, 2] > 0).astype(np.uint8) * np.uint8(1 + i % 2)
        labels[rng.random(len(points)) < 0.1] = 255
        frames.append(Frame(Scan(points, rng.random(len(points), dtype=np.float32)), labels=labels))
    return frames


def learn(process, processes, folder):
    """Take some steps in float64, in which rounding cannot hide or feign a difference; save losses and weights."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = student = Student(CONFIG.network, 3, normalize=True, temperature=0.1).double()
    if processes > 1:
        where = f"file://{folder}/meeting"
        distributed.init_process_group("gloo", init_method=where, rank=process, world_size=processes)
        synchronize(student)
        model = DistributedDataParallel(student)
    optimizer = torch.optim.AdamW(student.parameters(), 0.004)
    batches = Batches(street(6), np.ones((6, 3), int), CONFIG, 0, process, processes)
    losses = []
    for _ in range(STEPS):
        batch = next(batches)
        logits = model(batch.coords, batch.feats.double())
        loss = supervised_loss(logits, batch.labels, WEIGHTS, scan_of=batch.coords[:, 0], average=average)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(average(loss.detach())))
    if process == 0:
        save_file(student.state_dict(), folder / f"{processes}.safetensors", {"losses": json.dumps(losses)})
    if processes > 1:
        del model, logits, loss  # before the group: torch's reducer, deleted last, may wait for ever for its threads
        distributed.destroy_process_group()


def test_two_processes_take_the_steps_of_one_with_twice_the_batch(tmp_path):
    learn(0, 1, tmp_path)
    multiprocessing.spawn(learn, (2, tmp_path), nprocs=2)
    one, two = (load_file(tmp_path / f"{n}.safetensors") for n in (1, 2))
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(one[name].numpy(), two[name].numpy(), rtol=0, atol=1e-10, err_msg=name)
    before = Student(CONFIG.network, 3, normalize=True, temperature=0.1).network.state_dict()
    assert set(before) <= {name.removeprefix("network.") for name in one}  # the checkpoint's names are kept


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "three.yaml"
    path.write_text("name: three\nclasses: [{name: floor}, {name: box}, {name: pole}]\n", encoding="utf-8")
    return replace(CONFIG, class_set=str(path), steps=2, save_every=2, eval_every=1, sampling="balanced")


def test_a_run_of_two_processes_reports_and_saves_as_one(config, tmp_path):
    data, val = street(6), street(2)
    out = tmp_path / "two.safetensors"
    one = finetune(data, val, config, tmp_path / "one.safetensors")
    two = finetune(data, val, replace(config, processes=2), out)
    assert [(entry["step"], entry["samples"]) for entry in two["curve"]] == [(1, 4), (2, 8)]
    for mine, other in zip(one["curve"], two["curve"], strict=True):
        assert mine["loss"] == pytest.approx(other["loss"], abs=1e-5)
    assert two["frames"] == 2
    assert (tmp_path / "two.training" / "state.safetensors").exists()
    with pytest.raises(ProcessFailed, match=r"^.*other settings.*$"):  # one line, no traceback
        finetune(data, val, replace(config, processes=2, steps=3), out, resume=True)


def test_scans_that_cannot_be_dealt_out_evenly_are_refused(config, tmp_path):
    with pytest.raises(BadConfig, match="multiple of 3"):
        finetune(street(2), [], replace(config, processes=3), tmp_path / "student.safetensors")
