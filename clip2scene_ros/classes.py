"""Class sets: names, the words a text encoder is asked, colours and benchmark ids.

`class_id` is the 0-based position in the class set everywhere; benchmark ids are mapped only when
ground truth is read and when submissions are written.
"""

from __future__ import annotations

import colorsys
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from clip2scene_ros.errors import BadClassSet, short
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_ros.share import share_file

MAX_CLASSES = 254
UNKNOWN_COLOR = (96, 96, 96)
OUTDOOR_ABSORBERS = ("sky", "clouds", "sun", "lens flare", "ego-car hood", "windscreen reflection")
"""What cameras of a vehicle see and a LiDAR does not; absorbers of classes in one's own words."""
GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class SemanticClass:
    """One class: its name, the words for it (the name itself when none are given) and its RGB colour 0..255."""

    name: str
    prompts: tuple[str, ...]
    color: tuple[int, int, int]


@dataclass(frozen=True)
class ClassSet:
    """An ordered list of classes.

    Attributes:
        name: name of the set (`nuscenes`).
        classes: at most 254; a class's position is its `class_id`.
        benchmark_ids: raw ground-truth id -> `class_id`, for sources that use other numbers; absent ids are unknown.
        absorbers: words for what is no class, such as sky: where one fits an image best, no class is given.
    """

    name: str
    classes: tuple[SemanticClass, ...]
    benchmark_ids: dict[int, int] = field(default_factory=dict)
    absorbers: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of classes C."""
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the class names in order."""
        return tuple(c.name for c in self.classes)

    def index(self, name: str) -> int:
        """Return the class id of `name`, or raise BadClassSet listing the names there are."""
        if name not in self.names:
            raise BadClassSet(
                "unknown_class", f"Class set `{self.name}` has no class {name!r}; it has: {', '.join(self.names)}."
            )
        return self.names.index(name)

    @property
    def palette(self) -> Array:
        """Return (256, 3) uint8 RGB by class id; row 255 and unused rows are grey."""
        palette = np.full((256, 3), UNKNOWN_COLOR, dtype=np.uint8)
        for i, c in enumerate(self.classes):
            palette[i] = c.color
        return palette

    def from_benchmark(self, raw: Array) -> Array:
        """Map raw ground-truth ids to class ids, uint8, 255 where the id is not listed.

        Args:
            raw: integers of any shape; the low 16 bits count, since SemanticKITTI has instances in the high ones.
        """
        table = np.full(65536, UNKNOWN, dtype=np.uint8)
        for raw_id, class_id in self.benchmark_ids.items():
            table[raw_id] = class_id
        class_ids: Array = table[np.asarray(raw).astype(np.int64) & 0xFFFF]
        return class_ids

    def to_json(self) -> str:
        """Return the JSON published on `~/class_set`."""
        rows = [
            {"id": i, "name": c.name, "prompts": list(c.prompts), "color": list(c.color)}
            for i, c in enumerate(self.classes)
        ]
        absorbers = {"absorbers": list(self.absorbers)} if self.absorbers else {}
        return json.dumps({"name": self.name, "unknown": UNKNOWN, "classes": rows, **absorbers})

    @staticmethod
    def from_json(text: str) -> ClassSet:
        """Read what `to_json` wrote; anything else raises BadClassSet."""
        try:
            return parse_class_set(json.loads(text), "JSON")
        except (json.JSONDecodeError, RecursionError) as error:
            raise BadClassSet("json", f"Expected the JSON of a class set, but got {text[:60]!r}: {error}.") from error


def load_class_set(name_or_path: str) -> ClassSet:
    """Load `config/classes/NAME.yaml`, a YAML file by path, or classes in one's own words (`parse_words`).

    Raises:
        BadClassSet: no such file, not YAML, no classes, duplicate names, a colour that is no RGB.
    """
    if ";" in name_or_path or "," in name_or_path:
        return parse_words(name_or_path)
    path = (
        Path(name_or_path)
        if name_or_path.endswith((".yaml", ".yml"))
        else share_file(f"config/classes/{name_or_path}.yaml")
    )
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in share_file("config/classes").glob("*.yaml")))
        raise BadClassSet(
            "missing",
            f"No class set {name_or_path!r}: expected one of {known}, the path of a .yaml file, or words such as "
            "'road, street; car, van'.",
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or a date that is none
        raise BadClassSet("yaml", f"{path} is not valid YAML: {error}.") from error
    return parse_class_set(content, str(path))


def parse_words(text: str) -> ClassSet:
    """Return the class set of `road, street; car, van; person`: classes between `;`, their words between `,`.

    A class is called by its first word. Colours are made; sky and the like absorb, unless the text names them.

    Raises:
        BadClassSet: no words, a word twice, or too many classes.
    """
    groups = [[word for part in group.split(",") if (word := " ".join(part.split()))] for group in text.split(";")]
    groups = [words for words in groups if words]
    used = {word for words in groups for word in words}
    rows = [{"name": words[0], "prompts": words, "color": _made_color(number)} for number, words in enumerate(groups)]
    absorbers = [word for word in OUTDOOR_ABSORBERS if word not in used]
    return parse_class_set({"name": "words", "classes": rows, "absorbers": absorbers}, f"Classes {short(text)}")


def _made_color(number: int) -> list[int]:
    """Return a colour unlike those of the numbers before: hues in steps of the golden ratio."""
    rgb = colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1.0, 0.65 if number % 2 else 0.9, 0.95 if number % 3 else 0.75)
    return [round(255 * value) for value in rgb]


def parse_class_set(content: Any, where: str) -> ClassSet:  # noqa: ANN401 - untrusted YAML or JSON
    """Check a decoded YAML or JSON class set and return it; `where` is named in errors."""
    if not isinstance(content, dict) or not isinstance(content.get("classes"), list) or not content["classes"]:
        raise BadClassSet("form", f"{where}: expected a mapping with a non-empty list `classes`.")
    if len(content["classes"]) > MAX_CLASSES:
        raise BadClassSet(
            "too_many",
            f"{where}: at most {MAX_CLASSES} classes fit a uint8 class_id, but got {len(content['classes'])}.",
        )
    classes = tuple(_parse_class(entry, where) for entry in content["classes"])
    names = [c.name for c in classes]
    if len(set(names)) < len(names):
        raise BadClassSet("duplicate", f"{where}: class names must differ, but got {', '.join(names)[:200]}.")
    ids = _parse_ids(content.get("benchmark_ids") or {}, names, where)
    absorbers = tuple(_parse_prompts(content.get("absorbers") or [], "absorbers", where))
    words = [word for c in classes for word in c.prompts] + list(absorbers)
    twice = sorted({word for word in words if words.count(word) > 1})
    if twice:
        raise BadClassSet(
            "ambiguous",
            f"{where}: a word can stand for one class only, but these come twice: {', '.join(twice)[:200]}.",
        )
    return ClassSet(str(content.get("name", "")), classes, ids, absorbers)


def _parse_class(entry: Any, where: str) -> SemanticClass:  # noqa: ANN401
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
        raise BadClassSet("form", f"{where}: each class needs a `name`, but got {short(entry)}.")
    color = entry.get("color", UNKNOWN_COLOR)
    if not (
        isinstance(color, list | tuple) and len(color) == 3 and all(type(v) is int and 0 <= v <= 255 for v in color)
    ):
        raise BadClassSet(
            "color", f"{where}: class {entry['name']!r} expects `color: [r, g, b]` in 0..255, but got {short(color)}."
        )
    prompts = _parse_prompts(entry.get("prompts") or [entry["name"]], "prompts", f"{where}: class {entry['name']!r}")
    return SemanticClass(entry["name"], tuple(prompts), (color[0], color[1], color[2]))


def _parse_prompts(words: Any, key: str, where: str) -> list[str]:  # noqa: ANN401
    if not (isinstance(words, list) and all(isinstance(word, str) and word.strip() for word in words)):
        raise BadClassSet("prompts", f"{where} expects `{key}` to be a list of words, but got {short(words)}.")
    return words


def _parse_ids(raw: Any, names: list[str], where: str) -> dict[int, int]:  # noqa: ANN401
    ids: dict[int, int] = {}
    if not isinstance(raw, dict):
        raise BadClassSet(
            "benchmark_ids", f"{where}: expected `benchmark_ids` to map raw ids to class names, but got {short(raw)}."
        )
    for raw_id, name in raw.items():
        if not (type(raw_id) is int and 0 <= raw_id < 65536) or name not in names:
            raise BadClassSet(
                "benchmark_ids",
                f"{where}: `benchmark_ids` maps 0..65535 to class names, but got {short(raw_id)}: {short(name)}.",
            )
        ids[raw_id] = names.index(name)
    return ids
