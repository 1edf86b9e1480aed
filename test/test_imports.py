"""Rule 1 of the house: nodes -> core <- training, ROS only in nodes/, and no import climbs a floor."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE, NODES, TRAINING = "clip2scene_ros", "clip2scene_ros.nodes", "clip2scene_training"

# The composition root, the only one that may import from everywhere, and only inside its functions.
ROOT = "clip2scene_ros.cli"

# Parts of the core by floor, the ground floor first. A new part must be given its floor here.
FLOORS = (
    (
        "errors",
        "frame",
        "settings",
        "config",
        "classes",
        "share",
        "metrics",
        "evaluation",
        "report.format",
        "significance",
        "latency",
        "lens",
        "files",
        "words",
    )
    + ("terminal", "arguments", "calibrate.arguments", "compare.arguments", "label.arguments")
    + ("collect.arguments", "collect.config", "collect.sets"),
    ("geometry", "alignment", "alignment_fit", "student", "synchronizer", "camera_stream", "sync_sets", "drawing")
    + ("calibrate.watch", "transform_tree", "pose_buffer", "collect.choice", "collect.slips", "collect.collector"),
    ("io", "render", "render_sides", "teacher"),
    ("calibrate", "collect", "compare", "label", "demo", "describe", "offline", "truth", "viewer")
    + ("report",)
    + ("agreement", "shard_report", "shard_sheet", "vocabulary"),
)
ROS = ("rclpy", "launch", "launch_ros", "ament_index_python", "message_filters", "sensor_msgs_py", "tf2_ros")
ROS_MESSAGES = ("_msgs", "_srvs", "_interfaces")
TRAINING_ONLY = ("trimesh", "embreex", "lightning_fabric", "tensorboard", "clip2scene_training")
CLIP_ONLY = ("open_clip", "torchvision", "timm", "ftfy", "huggingface_hub")

Module = tuple[str, ast.Module]


def is_ros(name: str) -> bool:
    top = name.split(".")[0]
    return top in ROS or top.endswith(ROS_MESSAGES)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def modules(root: Path, package: str) -> Iterator[Module]:
    """Yield the dotted name and the syntax tree of every module of the package."""
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), ast.parse(path.read_text(), str(path))


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield every name that is imported anywhere in the tree, `from a.b import c` as `a.b.c`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "." * node.level + (node.module or "")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(name: str) -> int | None:
    """Return the floor of a module of the core, or None where it has none."""
    room, _, inside = name.removeprefix(f"{CORE}.").partition(".")
    names = (f"{room}.{inside.partition('.')[0]}", room)  # a room may be a stair: its lower steps are named
    return next((level for part in names for level, parts in enumerate(FLOORS) if part in parts), None)


def broken_rules(name: str, imported: str) -> Iterator[str]:
    """Yield the rules that module `name` breaks by importing `imported`."""
    if imported.startswith("."):
        yield "imports are absolute"
    if is_ros(imported) and not within(name, NODES):
        yield "only nodes/ import ROS"
    if within(name, NODES) and within(imported, TRAINING):
        yield "nodes never import training"
    if within(name, TRAINING) and within(imported, NODES):
        yield "training never imports nodes"
    if within(name, CORE) and not within(name, NODES):
        if within(imported, TRAINING) or within(imported, NODES):
            yield "the core imports neither nodes nor training"
        mine, theirs = floor(name), floor(imported)
        if within(imported, CORE) and mine is not None and theirs is not None and theirs > mine:
            yield f"an import never climbs (floor {mine} to {theirs})"


def violations(found: Iterator[Module]) -> list[str]:
    return [
        f"{name} imports {imported}: {rule}"
        for name, tree in found
        if name != ROOT
        for imported in imports(tree)
        for rule in broken_rules(name, imported)
    ]


def test_no_module_breaks_a_rule(project: Path) -> None:
    found = [*modules(project, CORE), *modules(project / "training", TRAINING)]
    assert len(found) > 10
    assert violations(iter(found)) == []


def circles(found: dict[str, ast.Module]) -> list[list[str]]:
    """Return, for each import that closes a circle, the modules along it; what only a type checker reads counts too."""

    def owner(imported: str) -> str:
        while imported and imported not in found:
            imported = imported.rpartition(".")[0]
        return imported

    closed, done = [], set()

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            closed.append([*path[path.index(name) :], name])
        elif name not in done:
            for imported in sorted({owner(each) for each in imports(found[name])} - {"", name, ROOT}):
                walk(imported, [*path, name])
            done.add(name)

    for name in found:
        walk(name, [])
    return closed


def test_no_module_imports_itself_by_a_detour(project: Path) -> None:
    found = dict([*modules(project, CORE), *modules(project / "training", TRAINING)])
    assert circles(found) == []
    assert circles({"a": ast.parse("import b"), "b": ast.parse("def f():\n    from a import x")}) == [["a", "b", "a"]]


def test_every_part_of_the_core_has_a_floor(project: Path) -> None:
    parts = {name.split(".")[1] for name, _ in modules(project, CORE) if "." in name}
    homeless = {part for part in parts if floor(f"{CORE}.{part}") is None}
    assert homeless == {"nodes", "cli"}


def test_the_command_line_imports_lazily(project: Path) -> None:
    tree = ast.parse((project / "clip2scene_ros" / "cli.py").read_text())
    at_the_top = [
        name
        for statement in tree.body
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef)
        for name in imports(statement)
    ]
    heavy = [
        name
        for name in at_the_top
        if is_ros(name)
        or within(name, TRAINING)
        or within(name, NODES)
        or name.split(".")[0] in ("torch", "rosbags", "PIL")
    ]
    assert heavy == []


@pytest.mark.parametrize(
    ("name", "source", "rule"),
    [
        ("clip2scene_ros.student.segmenter", "def f():\n    import rclpy", "only nodes/ import ROS"),
        ("clip2scene_ros.io.bags", "from sensor_msgs.msg import PointCloud2", "only nodes/ import ROS"),
        ("clip2scene_training.finetune", "import rclpy", "only nodes/ import ROS"),
        ("clip2scene_ros.frame", "from clip2scene_ros.geometry import invert", "an import never climbs (floor 0 to 1)"),
        ("clip2scene_ros.student.x", "from clip2scene_ros import io", "an import never climbs (floor 1 to 2)"),
        ("clip2scene_ros.io.bags", "import clip2scene_training.world", "the core imports neither nodes nor training"),
        ("clip2scene_ros.render", "from clip2scene_ros.nodes import x", "the core imports neither nodes nor training"),
        ("clip2scene_ros.nodes.segment", "from clip2scene_training import losses", "nodes never import training"),
        ("clip2scene_training.losses", "import clip2scene_ros.nodes.x", "training never imports nodes"),
        ("clip2scene_ros.frame", "from . import errors", "imports are absolute"),
    ],
)
def test_the_walk_finds_a_broken_rule(name: str, source: str, rule: str) -> None:
    found = violations(iter([(name, ast.parse(source))]))
    assert any(rule in line for line in found), found


BLOCKED = """
import importlib, importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in {names!r} or top.endswith({endings!r}):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
try:
    import rclpy
except ImportError as error:
    print(error)
for module in {modules!r}:
    importlib.import_module(module)
print("imported", len({modules!r}))
"""


def test_the_core_imports_without_ros_and_without_the_extras_for_training_and_clip(project: Path) -> None:
    core = [name for name, _ in modules(project, CORE) if not within(name, NODES)]
    code = BLOCKED.format(names=(*ROS, *TRAINING_ONLY, *CLIP_ONLY), endings=ROS_MESSAGES, modules=core)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert run.stdout.splitlines() == ["rclpy is blocked", f"imported {len(core)}"], run.stderr
