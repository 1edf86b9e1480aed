"""What a training run needs to go on where it stopped, and how it is kept: safetensors, no pickle.

Order of samples, augmentation and learning rate are functions of seed and step, so besides weights and moments only
the curve has to be remembered for a resumed run to equal an unbroken one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from clip2scene_ros.errors import BadCheckpoint
from clip2scene_ros.files import whole_file

Model = TypeVar("Model", bound=nn.Module)


@dataclass
class TrainState(Generic[Model]):
    """A run in progress.

    Attributes:
        step: steps done.
        student: what is being trained.
        optimizer: its moments are saved; its settings come from the configuration.
        settings: text of the run's configuration and data; a run is only resumed with equal ones.
        curve: looks at the validation data so far: `step`, `samples`, `miou`, `loss`.
        loss_sum: sum of the losses since the last of them.
    """

    step: int
    student: Model
    optimizer: Optimizer
    settings: str
    curve: list[dict[str, float | None]] = field(default_factory=list)
    loss_sum: float = 0.0

    def look(self, samples: int, miou: float | None) -> None:
        """Add a look at the validation data after `samples` learned; its loss is the mean since the last one."""
        steps = self.step - int(self.curve[-1]["step"] or 0 if self.curve else 0)
        loss = self.loss_sum / steps if steps else None
        self.curve.append({"step": self.step, "samples": samples, "miou": miou, "loss": loss})
        self.loss_sum = 0.0

    def save(self, path: Path) -> None:
        """Write the state to `path`, whole or not at all."""
        tensors = {f"student.{name}": value for name, value in self.student.state_dict().items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            tensors.update({f"optimizer.{number}.{key}": torch.as_tensor(value) for key, value in moments.items()})
        tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        kept = {"step": self.step, "curve": self.curve, "loss_sum": self.loss_sum}
        metadata = {name: json.dumps(value) for name, value in kept.items()}
        with whole_file(path) as file:
            file.write(save(tensors, {**metadata, "settings": self.settings}))

    def restore(self, path: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            BadCheckpoint: not such a file, or of a run with other settings or another network.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if json.loads(metadata["settings"]) != json.loads(self.settings):
                raise BadCheckpoint(
                    "settings",
                    f"{path} is of a run with other settings ({_changed(metadata['settings'], self.settings)}); "
                    "delete it to start anew, or choose them again.",
                )
            moments: dict[int, dict[str, Tensor]] = {}
            for name in [name for name in tensors if name.startswith("optimizer.")]:
                _, number, key = name.split(".", 2)
                moments.setdefault(int(number), {})[key] = tensors.pop(name)
            self.student.load_state_dict({name.removeprefix("student."): t for name, t in tensors.items()})
            self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
            self.step = int(json.loads(metadata["step"]))
            self.curve, self.loss_sum = json.loads(metadata["curve"]), float(json.loads(metadata["loss_sum"]))
        except (SafetensorError, OSError, KeyError, RuntimeError) as error:
            raise BadCheckpoint(
                "train_state", f"Expected {path} to be a saved training state, but: {error}."
            ) from error


def saved_step(path: Path) -> int:
    """Return how many steps the run has done whose state `path` holds.

    Raises:
        BadCheckpoint: it is no such file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return int((file.metadata() or {})["step"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise BadCheckpoint("train_state", f"Expected {path} to be a saved training state, but: {error}.") from error


def _changed(saved: str, asked: str) -> str:
    """Say which settings differ between two texts of `TrainState.settings`: the data's hash and nested settings."""
    (data, before), (other, after) = json.loads(saved), json.loads(asked)
    before, after = _flat({"data": data[:8], **before}), _flat({"data": other[:8], **after})
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(f"{name} was {before.get(name)}, is {after.get(name)}" for name in names)


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found.update(_flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return found
