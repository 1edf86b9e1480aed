"""config/sros2/policy.xml allows what the live nodes really open, and nothing more."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import DEADLINE_S, stays, tiny, until
from rclpy.context import Context
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.parameter import Parameter

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import security

from clip2scene_ros.collect.process import Settings
from clip2scene_ros.errors import NodeFailed
from clip2scene_ros.frame import CameraModel
from clip2scene_ros.io.calibration import save_calibration
from clip2scene_ros.nodes.collect import CollectNode
from clip2scene_ros.nodes.counters import NodeCounters
from clip2scene_ros.nodes.evaluate import NODE_NAME as EVALUATE
from clip2scene_ros.nodes.live_settings import live_settings
from clip2scene_ros.nodes.peer import Peer
from clip2scene_ros.nodes.segment import SegmentNode
from clip2scene_ros.share import share_file

POLICY = share_file("config/sros2/policy.xml")
Allowed = set[tuple[str, str]]
"""`(publish | subscribe | reply | request, full name)`."""

SERVICE = {"rq/car/n/sRequest", "rr/car/n/sReply"}
GRAPH = {
    "publish": Node.get_publisher_names_and_types_by_node,
    "subscribe": Node.get_subscriber_names_and_types_by_node,
    "reply": Node.get_service_names_and_types_by_node,
    "request": Node.get_client_names_and_types_by_node,
}


def allowed(node: str) -> Allowed:
    """Return what the policy allows a node."""
    (enclave,) = (
        enclave.attrib["path"]
        for enclave in ET.parse(POLICY).iter("enclave")
        for profile in enclave.iter("profile")
        if profile.attrib["node"] == node
    )
    rights = security.allowed()[enclave]
    assert len(rights) == len(set(rights)), "named twice"
    return set(rights)


def opened(observer: Node, name: str) -> Allowed:
    """Return what a live node has on the network, nothing while the observer has not yet heard of it."""
    with contextlib.suppress(NodeNameNonExistentError):
        return {(verb, topic) for verb, names in GRAPH.items() for topic, _ in names(observer, name, "/")}
    return set()


def check(observer: Node, name: str) -> None:
    """Compare the policy with a live node, of which an observer hears bit by bit."""
    end_s = time.monotonic() + DEADLINE_S
    while not opened(observer, name) >= allowed(name) and time.monotonic() < end_s:
        time.sleep(0.02)
    assert opened(observer, name) == allowed(name)
    assert stays(lambda: opened(observer, name) == allowed(name), 0.3)


@pytest.fixture
def observer(context: Context) -> Node:
    return Node("observer", context=context)


def test_the_form_is_that_of_sros2() -> None:
    root = ET.parse(POLICY).getroot()
    assert (root.tag, root.attrib) == ("policy", {"version": "0.2.0"})
    form = {
        "policy": ({"version"}, {"enclaves"}),
        "enclaves": (set(), {"enclave"}),
        "enclave": ({"path"}, {"profiles"}),
        "profiles": (set(), {"profile"}),
        "profile": ({"ns", "node"}, {"topics", "services"}),
        "topics": ({"publish", "subscribe"}, {"topic"}),
        "services": ({"reply", "request"}, {"service"}),
    }
    for element in root.iter():
        attributes, children = form.get(element.tag, (set(), set()))
        assert set(element.attrib) <= attributes
        assert element.tag not in ("topics", "services") or set(element.attrib.values()) == {"ALLOW"}
        assert {child.tag for child in element} <= children
        if element.tag in ("topic", "service"):
            assert re.fullmatch(r"(~/|/)?[a-z0-9_]+(/[a-z0-9_]+)*", str(element.text)), "a wildcard allows too much"
        else:
            assert len(element), f"{element.tag} is empty"
    paths = [enclave.attrib["path"] for enclave in root.iter("enclave")]
    assert paths == ["/clip2scene/segment", "/clip2scene/collect", "/clip2scene/evaluate"]


def test_names_are_resolved_as_sros2_does_and_become_topics_of_dds(tmp_path: Path) -> None:
    policy = """<policy version="0.2.0"><enclaves><enclave path="/x"><profiles><profile ns="/car" node="n">
        <topics publish="ALLOW" subscribe="DENY"><topic>~/a</topic><topic>b</topic><topic>/c</topic></topics>
        <services reply="ALLOW" request="ALLOW"><service>~/s</service></services>
        </profile></profiles></enclave></enclaves></policy>"""
    (tmp_path / "policy.xml").write_text(policy)
    rights = security.allowed(tmp_path / "policy.xml")
    assert {verb for verb, _ in rights["/x"]} == {"publish", "reply", "request"}
    assert {name for verb, name in rights["/x"] if verb == "publish"} == {"/car/n/a", "/car/b", "/c"}
    wire = security.on_the_wire(rights["/x"])
    assert {t for verb, t in wire if verb == "publish"} == {"rt/car/n/a", "rt/car/b", "rt/c", *SERVICE}
    assert {t for verb, t in wire if verb == "subscribe"} == SERVICE


def test_the_segmentation_node_may_do_what_it_does(
    context: Context, spin: Callable[[Node], None], observer: Node, tiny_checkpoint: Path
) -> None:
    overrides = [Parameter(name, value=value) for name, value in tiny(tiny_checkpoint).items()]
    node = SegmentNode(context=context, parameter_overrides=overrides)
    spin(node)
    until(lambda: node.state == "active", "the node is active")
    check(observer, node.get_name())


class NoTeacher:
    """A teacher's process that is not there."""

    pid = None

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def runs(self) -> bool:
        return True

    def send(self, message: object) -> bool:
        return False

    def hear(self, timeout_s: float) -> None:
        return None

    def give_up(self) -> None:
        """There is nothing."""

    def close(self, timeout_s: float) -> bool:
        return True


def test_the_collecting_node_may_do_what_it_does(
    context: Context, spin: Callable[[Node], None], observer: Node, tmp_path: Path
) -> None:
    listed = sorted(name for _, name in allowed("clip2scene_collect") if name.endswith("/compressed"))
    cameras = [name.split("/")[1] for name in listed]
    camera = CameraModel(16, 9, np.array([[8.0, 0, 8], [0, 8, 4.5], [0, 0, 1]]))
    save_calibration(tmp_path / "rig.yaml", dict.fromkeys(cameras, (camera, np.eye(4))))
    overrides = [
        Parameter("cameras", value=", ".join(cameras)),
        Parameter("calibration.file", value=str(tmp_path / "rig.yaml")),
        Parameter("folder", value=str(tmp_path)),
    ]
    load = lambda settings: (NoTeacher(settings), "no teacher")  # noqa: E731
    node = CollectNode(load, context=context, parameter_overrides=overrides)
    spin(node)
    until(lambda: node.state == "active", "the node is active")
    check(observer, node.get_name())


def test_the_evaluating_node_may_do_what_it_does(observer: Node) -> None:
    with Peer(name=EVALUATE) as peer:
        NodeCounters(peer)
        with pytest.raises(NodeFailed, match="start segment_node"):
            live_settings(peer, 0.0)
        check(observer, EVALUATE)


def test_a_node_that_is_to_be_secured_and_cannot_be_does_not_run_in_the_clear(tmp_path: Path) -> None:
    """The wheels' Fast DDS has no security libraries; one that has them misses the keys. Neither may go on without."""
    (tmp_path / "enclaves" / "clip2scene" / "segment").mkdir(parents=True)
    asked = {"ENABLE": "true", "STRATEGY": "Enforce", "KEYSTORE": str(tmp_path)}
    environment = os.environ | {f"ROS_SECURITY_{name}": value for name, value in asked.items()}
    command = [sys.executable, "-m", "clip2scene_ros.nodes.segment", "--ros-args", "--enclave", "/clip2scene/segment"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert re.search("secur", run.stdout + run.stderr, re.IGNORECASE)
