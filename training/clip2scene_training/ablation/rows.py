"""The rows of `clip2scene ablate`, as config/ablation.yaml has them: what each learns from, and in which settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from clip2scene_ros.config import DenseConfig
from clip2scene_ros.errors import BadConfig, Clip2SceneError
from clip2scene_ros.settings import settings_of, with_settings
from clip2scene_ros.share import share_file
from clip2scene_training.config import FinetuneConfig
from clip2scene_training.pretrain_config import PRESETS, PretrainConfig

PRETRAIN, FINETUNE, LABELS, FILLED, GEOMETRY, ASKED = "pretrain", "finetune", "labels", "filled", "geometry", "asked"
KINDS = (PRETRAIN, FINETUNE, LABELS, FILLED, GEOMETRY, ASKED)
TOLD = ("shows", "seeds", "teacher", "table3")
"""What a row is told by and compared with: no seed's result depends on it."""
TEACHER, PAPER, BEST, CEILING = "teacher", "paper", "best", "ceiling"
"""Rows that others are compared with."""


@dataclass(frozen=True)
class AblationRow:
    """One row; the file's head tells every key.

    Attributes:
        name: short, also its folder's.
    """

    name: str
    shows: str
    kind: str = PRETRAIN
    base: str = PAPER
    settings: dict[str, Any] = field(default_factory=dict)
    dense: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    words: str = ""
    without: tuple[str, ...] = ()
    without_camera: bool = False
    random_text: bool = False
    of: str = ""
    rounds: int = 1
    teacher: str = TEACHER
    table3: float | None = None

    @property
    def learns(self) -> bool:
        """Return whether there is a training."""
        return self.kind in (PRETRAIN, FINETUNE)


@dataclass(frozen=True)
class Rows:
    """All rows of a file.

    Attributes:
        rows: by name, in the file's order.
        words: class sets by name: class -> its words.
        common: settings that every pretrained row has unless its own say otherwise.
        camera: the view that `without_camera` takes away.
    """

    rows: dict[str, AblationRow]
    words: dict[str, dict[str, list[str]]]
    common: dict[str, Any]
    camera: str

    def chosen(self, names: Sequence[str]) -> list[AblationRow]:
        """Return rows by name, all where none are named, and those that they are made of, in an order that serves.

        Raises:
            BadConfig: no such row.
        """
        unknown = [name for name in names if name not in self.rows]
        if unknown:
            raise BadConfig("rows", f"Expected rows of {', '.join(self.rows)}, but got {unknown[0]!r}.")
        wanted = {self.rows[name].of for name in names} | set(names) if names else set(self.rows)
        found = [row for row in self.rows.values() if row.name in wanted]
        return sorted(found, key=lambda row: row.kind == ASKED)  # a stable sort: these ask others' students

    def config(self, row: AblationRow, seed: int, samples: int, threads: int, clip: str) -> PretrainConfig:
        """Return the settings of a pretrained row, or of a row's teacher.

        Args:
            row: of kind pretrain, labels or filled.
            seed: of training.
            samples: scans to learn from, each sweep being one.
            threads: of the CPU.
            clip: `clip.checkpoint` of all rows.

        Raises:
            BadConfig: no such preset, or as `with_settings`.
        """
        if row.base not in PRESETS:
            raise BadConfig("rows", f"Row {row.name} expects a `base` of {', '.join(PRESETS)}, but got {row.base!r}.")
        own = {"clip.checkpoint": clip, "seed": seed, "threads": threads, **self.common, **row.settings}
        config = with_settings(PRESETS[row.base], own)
        with_settings(DenseConfig(), row.dense)
        return with_settings(config, _length(samples, config.batch_size * config.sweeps.count))

    def ceiling(self, row: AblationRow, seed: int, samples: int, threads: int) -> FinetuneConfig:
        """Return the settings of a row that learns true labels; arguments and errors as `config`."""
        shared = {name: value for name, value in self.common.items() if name == "device" or name.startswith("network.")}
        config = with_settings(FinetuneConfig(), {"seed": seed, "threads": threads, **shared, **row.settings})
        return with_settings(config, _length(samples, config.batch_size))

    def key(self, row: AblationRow) -> str:
        """Return a digest of all that the file says of a row, its words too, and of the preset that it stands on."""
        asked = [row, self.rows[row.of]] if row.of else [row]
        words, said = [self.words.get(each.words) for each in asked], [_said(each) for each in asked]
        what = [said, words, [_preset(each) for each in asked], self.common, self.camera]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _preset(row: AblationRow) -> dict[str, Any]:
    """Return the settings that a row's own replace."""
    base = FinetuneConfig() if row.kind == FINETUNE else PRESETS.get(row.base, PretrainConfig())
    return {name: value for name, value, _ in settings_of(base)}


def load_rows(path: Path | None = None) -> Rows:
    """Read a file of rows, config/ablation.yaml if none is named.

    Raises:
        BadConfig: `rows`: it is missing, or a row says what no row can; the text names row and key.
    """
    path = path or share_file("config/ablation.yaml")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadConfig("rows", f"{path} does not hold the rows of an ablation: {error}.") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("rows"), Mapping):
        raise BadConfig("rows", f"{path}: expected a mapping with `rows`, a mapping of names.")
    common, words = content.get("common") or {}, content.get("words") or {}
    if not (isinstance(common, Mapping) and _are_words(words)):
        raise BadConfig("rows", f"{path}: expected `common` to be settings by name, `words` words by class by name.")
    rows = {str(name): _row(str(name), entry, path) for name, entry in content["rows"].items()}
    sets = {str(name): dict(classes) for name, classes in words.items()}
    found = Rows(rows, sets, dict(common), str(content.get("camera", "")))
    for row in rows.values():
        _check(row, found, path)
    return found


def _row(name: str, entry: Any, path: Path) -> AblationRow:  # noqa: ANN401 - untrusted YAML
    known = {f.name for f in fields(AblationRow)} - {"name"}
    if not isinstance(entry, Mapping) or "shows" not in entry or set(entry) - known:
        strange = sorted(set(entry) - known) if isinstance(entry, Mapping) else [str(entry)[:40]]
        raise BadConfig(
            "rows", f"{path}: row {name} expects `shows` and keys of {', '.join(sorted(known))}, but got "
            f"{', '.join(strange) or 'no `shows`'}."
        )  # fmt: skip
    wrong = [key for key, value in entry.items() if not _fits(key, value)]
    if wrong:
        raise BadConfig("rows", f"{path}: row {name} has {entry[wrong[0]]!r} as `{wrong[0]}`, which that cannot be.")
    lists = {key: tuple(entry[key]) for key in ("seeds", "without") if key in entry}
    row = AblationRow(**{"name": name, **entry, **lists})
    # the folder of a row goes by its name
    if (
        not name.replace("-", "").replace("_", "").isalnum()
        or row.kind not in KINDS
        or not row.seeds
        or row.rounds not in (1, 2, 3)
    ):
        raise BadConfig(
            "rows", f"{path}: row {name!r} expects a name of letters, digits and dashes, a `kind` of "
            f"{', '.join(KINDS)}, one seed or more and 1 to 3 `rounds`."
        )  # fmt: skip
    return row


def _fits(key: str, value: Any) -> bool:  # noqa: ANN401 - untrusted YAML
    """Return whether a key of a row has a value of its type."""
    if key == "seeds":
        return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)
    if key == "without":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if key == "table3":
        return value is None or type(value) in (int, float)
    silent = getattr(AblationRow("", ""), key)
    return isinstance(value, Mapping) if isinstance(silent, dict) else type(value) is type(silent)


def _are_words(words: Any) -> bool:  # noqa: ANN401 - untrusted YAML
    sets = list(words.values()) if isinstance(words, Mapping) else [None]
    lists = [each for classes in sets for each in (classes.values() if isinstance(classes, Mapping) else [None])]
    return all(isinstance(each, list) and all(isinstance(word, str) for word in each) for each in lists)


def _check(row: AblationRow, rows: Rows, path: Path) -> None:
    """Raise BadConfig where a row names what is not there: before the first of them has learned for minutes."""
    if row.words and row.words not in rows.words:
        raise BadConfig("rows", f"{path}: row {row.name} has `words` {row.words!r}, which the file does not define.")
    if row.kind == ASKED and (row.of not in rows.rows or not rows.rows[row.of].learns or not row.words):
        raise BadConfig("rows", f"{path}: row {row.name} asks row {row.of!r}: expected one that learns, and `words`.")
    if row.teacher != TEACHER and row.teacher not in rows.rows:
        raise BadConfig("rows", f"{path}: row {row.name} is compared with row {row.teacher!r}, which is not there.")
    try:
        rows.ceiling(row, 0, 1, 1) if row.kind == FINETUNE else rows.config(row, 0, 1, 1, "")
    except Clip2SceneError as error:
        raise BadConfig("rows", f"{path}: row {row.name}: {error}") from error


def _said(row: AblationRow) -> dict[str, Any]:
    """Return what a row's result depends on; a key that a later version knows changes no row that lacks it."""
    silent = asdict(AblationRow(row.name, row.shows))
    asked = {key: value for key, value in asdict(row).items() if key not in TOLD}
    return {key: value for key, value in asked.items() if key == "name" or value != silent[key]}


def _length(samples: int, scans_a_step: int) -> dict[str, int]:
    steps = max(1, samples // scans_a_step)
    return {"steps": steps, "save_every": max(1, steps // 8)}
