"""The nodes' settings as a YAML file and as a table, both made from `config.py`.

    python -m clip2scene_ros.nodes.tables yaml > config/segment.yaml
    python -m clip2scene_ros.nodes.tables yaml collect > config/collect.yaml
    python -m clip2scene_ros.nodes.tables markdown
    python -m clip2scene_ros.nodes.tables markdown collect

No ROS here: README, docs and tests use it where rclpy is absent.
"""

from __future__ import annotations

import sys
from dataclasses import Field
from typing import Any

from clip2scene_ros.collect.config import CollectNodeConfig
from clip2scene_ros.config import SegmentNodeConfig
from clip2scene_ros.settings import settings_of

YAML_HEAD = """\
# Every parameter of the node `clip2scene_{node}` with its default, made from clip2scene_ros/{module} by
# `{command}`; a test keeps the two equal. Copy it, keep the lines you change, and
# start the node with `--ros-args --params-file FILE`.
/**:
  ros__parameters:
"""
COLLECT_HEAD = YAML_HEAD.format(
    node="collect", module="collect/config.py", command="python -m clip2scene_ros.nodes.tables yaml collect"
)
SEGMENT_HEAD = YAML_HEAD.format(
    node="segment", module="config.py", command="python -m clip2scene_ros.nodes.tables yaml"
)


def allowed(f: Field[Any]) -> str:
    """Return the allowed values of a setting as text, empty where any value of its type will do."""
    meta = f.metadata
    if meta["choices"]:
        return ", ".join(meta["choices"])
    if meta["low"] is None:
        return ""
    return f"{meta['low']:.10g} .. {meta['high']:.10g}"


def parameter_table(config: object | None = None) -> str:
    """Return the Markdown table of all parameters: name, type, default, allowed values, run time, reason."""
    rows = [
        "| parameter | type | default | allowed | at run time | why |",
        "|---|---|---|---|---|---|",
    ]
    for name, value, f in settings_of(config or SegmentNodeConfig()):
        run_time = "yes" if f.metadata["runtime"] else "read-only"
        why = f.metadata["why"].replace("|", "\\|")
        rows.append(f"| `{name}` | {type(value).__name__} | `{_yaml(value)}` | {allowed(f)} | {run_time} | {why} |")
    return "\n".join(rows) + "\n"


def parameter_yaml(config: object | None = None) -> str:
    """Return the ROS parameter file with every default, one comment a line, nested as the dotted names are."""
    lines: list[str] = []
    open_groups: list[str] = []
    for name, value, f in settings_of(config or SegmentNodeConfig()):
        *groups, leaf = name.split(".")
        shared = 0
        while shared < min(len(groups), len(open_groups)) and groups[shared] == open_groups[shared]:
            shared += 1
        lines += [f"{'  ' * (2 + depth)}{groups[depth]}:" for depth in range(shared, len(groups))]
        open_groups = groups
        lines.append(f"{'  ' * (2 + len(groups))}{leaf}: {_yaml(value)}  # {f.metadata['why']}")
    head = COLLECT_HEAD if isinstance(config, CollectNodeConfig) else SEGMENT_HEAD
    return head + "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:  # noqa: ANN401 - any setting
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return repr(value)  # floats keep their point: ROS tells 1.0 (double) from 1 (integer)


if __name__ == "__main__":
    wanted = CollectNodeConfig() if "collect" in sys.argv[1:] else SegmentNodeConfig()
    sys.stdout.write(parameter_yaml(wanted) if "yaml" in sys.argv[1:] else parameter_table(wanted))
