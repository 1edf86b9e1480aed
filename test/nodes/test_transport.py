"""The Fast DDS profile: used by itself, never over the user's own choice; its text is what was measured."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import namedtuple

import pytest

from clip2scene_ros.nodes import transport
from clip2scene_ros.share import share_file

DDS = "{http://www.eprosima.com}"


@pytest.mark.parametrize(("major", "names"), [(9, transport.VARIABLES[:1]), (7, transport.VARIABLES)])
def test_an_untouched_environment_gets_the_profile_under_the_names_its_distribution_reads(monkeypatch, major, names):
    monkeypatch.setattr(transport, "_rclpy_major", lambda: major)
    environment: dict[str, str] = {}
    profile = transport.use_profile(environment)
    assert profile == share_file("config/fastdds.xml")
    assert environment == dict.fromkeys(names, str(profile))


@pytest.mark.parametrize(
    "environment",
    [
        {"FASTDDS_DEFAULT_PROFILES_FILE": "/home/me/mine.xml"},
        {"FASTRTPS_DEFAULT_PROFILES_FILE": "/home/me/mine.xml"},
        {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"},
        {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"},
    ],
)
def test_what_the_user_chose_is_left_alone(environment: dict[str, str]):
    before = dict(environment)
    assert transport.use_profile(environment) is None
    assert environment == before


def test_naming_the_default_middleware_is_no_other_choice():
    assert transport.use_profile({"RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"}) is not None


def test_the_profile_has_64_mb_of_shared_memory_and_udp_and_lets_cyclone_in():
    root = ElementTree.parse(share_file("config/fastdds.xml")).getroot()
    kinds = {t.findtext(f"{DDS}type"): t for t in root.iter(f"{DDS}transport_descriptor")}
    assert kinds["SHM"].findtext(f"{DDS}segment_size") == str(64 * 2**20)
    for side in ("sendBufferSize", "receiveBufferSize"):
        assert kinds["UDPv4"].findtext(f"{DDS}{side}") == str(4 * 2**20)
    declared = [t.findtext(f"{DDS}transport_id") for t in root.iter(f"{DDS}transport_descriptor")]
    assert [t.text for t in root.find(f".//{DDS}userTransports")] == declared
    properties = {p.findtext(f"{DDS}name"): p.findtext(f"{DDS}value") for p in root.iter(f"{DDS}property")}
    assert properties == {"fastdds.type_propagation": "disabled"}
    assert root.findtext(f".//{DDS}useBuiltinTransports") == "false"


def test_too_little_shared_memory_is_told_with_its_cure(monkeypatch):
    usage = namedtuple("usage", "total")
    monkeypatch.setattr(transport.shutil, "disk_usage", lambda folder: usage(64 * 2**20))
    assert "--shm-size" in transport.shared_memory_warning()
    monkeypatch.setattr(transport.shutil, "disk_usage", lambda folder: usage(8 * 2**30))
    assert transport.shared_memory_warning() == ""
    assert transport.shared_memory_warning("/no/such/folder") == ""
