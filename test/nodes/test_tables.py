"""The YAML and the table say what `config.py` says, word for word and value for value."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from clip2scene_ros.config import SegmentNodeConfig
from clip2scene_ros.nodes.tables import parameter_table, parameter_yaml
from clip2scene_ros.settings import settings_of, with_settings
from clip2scene_ros.share import share_file

SETTINGS = list(settings_of(SegmentNodeConfig()))


def flat(tree: dict, prefix: str = "") -> dict:
    out: dict = {}
    for key, value in tree.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return out


def test_the_yaml_file_has_every_parameter_with_its_default_and_type():
    parameters = flat(yaml.safe_load(share_file("config/segment.yaml").read_text())["/**"]["ros__parameters"])
    assert [(name, type(v), v) for name, v in parameters.items()] == [(n, type(v), v) for n, v, _ in SETTINGS]
    assert with_settings(SegmentNodeConfig(), parameters) == SegmentNodeConfig()


def test_every_line_of_the_yaml_file_gives_the_reason_from_the_dataclass():
    lines = share_file("config/segment.yaml").read_text().splitlines()
    comments = [line.split("  # ", 1)[1] for line in lines if "  # " in line]
    assert comments == [f.metadata["why"] for _, _, f in SETTINGS]


def test_the_yaml_file_is_what_the_command_prints():
    assert share_file("config/segment.yaml").read_text() == parameter_yaml()


def test_the_table_has_a_row_for_every_parameter():
    rows = [line for line in parameter_table().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [name for name, _, _ in SETTINGS]
    depth = next(row for row in rows if "points.depth" in row)
    assert "| int | `2` | 1 .. 1000 | read-only |" in depth
    assert "| yes |" in next(row for row in rows if "min_probability" in row)


@pytest.mark.parametrize("name", ["README.md", "docs/node.md"])
def test_the_table_in_the_documentation_is_the_one_made_from_the_dataclasses(name: str):
    document = (share_file("package.xml").parent / name).read_text(encoding="utf-8")
    _, _, after = document.partition("<!-- parameters -->\n")
    table, end, _ = after.partition("<!-- /parameters -->")
    assert end
    assert table == parameter_table()


def test_the_command_needs_no_ros():
    code = "import sys; sys.modules['rclpy'] = None; sys.argv = ['t', 'yaml']; import runpy; "
    code += "runpy.run_module('clip2scene_ros.nodes.tables', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == parameter_yaml()
