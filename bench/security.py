"""Does DDS Security enforce config/sros2/policy.xml: do those with its keys talk, and is everybody else refused?

The wheels' Fast DDS cannot do it, so participants of another one play the nodes: `libfastrtps-dev` of Debian or Ubuntu
(Fast DDS 2 with security), `g++` and `openssl` must be installed. Keys, governance (everything encrypted, nobody
unauthenticated) and permissions are made from the policy as `ros2 security` makes them.

    python bench/security.py --json security.json

Prints each claim and what was found; exit code 1 when one does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from clip2scene_ros.share import share_file

POLICY = share_file("config/sros2/policy.xml")
TALK_S = 8.0
"""How long two participants get to find each other, to agree on keys and to talk."""
DDS = {
    "publish": (("publish", "rt{}"),),
    "subscribe": (("subscribe", "rt{}"),),
    "reply": (("publish", "rr{}Reply"), ("subscribe", "rq{}Request")),
    "request": (("publish", "rq{}Request"), ("subscribe", "rr{}Reply")),
}
"""What a permission of ROS is on the network: topics have a prefix, a service is two topics."""
GOVERNANCE = """<dds><domain_access_rules><domain_rule><domains><id>{domain}</id></domains>
<allow_unauthenticated_participants>false</allow_unauthenticated_participants>
<enable_join_access_control>true</enable_join_access_control>
<discovery_protection_kind>ENCRYPT</discovery_protection_kind>
<liveliness_protection_kind>ENCRYPT</liveliness_protection_kind>
<rtps_protection_kind>ENCRYPT</rtps_protection_kind>
<topic_access_rules><topic_rule><topic_expression>*</topic_expression>
<enable_discovery_protection>true</enable_discovery_protection>
<enable_liveliness_protection>true</enable_liveliness_protection>
<enable_read_access_control>true</enable_read_access_control>
<enable_write_access_control>true</enable_write_access_control>
<metadata_protection_kind>ENCRYPT</metadata_protection_kind>
<data_protection_kind>ENCRYPT</data_protection_kind>
</topic_rule></topic_access_rules></domain_rule></domain_access_rules></dds>"""
PERMISSIONS = """<dds><permissions><grant name="{name}"><subject_name>CN={name}</subject_name>
<validity><not_before>2020-01-01T00:00:00</not_before><not_after>2049-01-01T00:00:00</not_after></validity>
<allow_rule><domains><id>{domain}</id></domains>{rules}</allow_rule><default>DENY</default></grant></permissions></dds>"""

Allowed = list[tuple[str, str]]
"""`(publish | subscribe | reply | request, full name)` of ROS, or the first two with a topic of DDS."""


def allowed(policy: Path = POLICY) -> dict[str, Allowed]:
    """Return what a policy allows each enclave, names resolved as sros2 resolves them."""
    found: dict[str, Allowed] = {}
    for enclave in ET.parse(policy).iter("enclave"):
        rights = found.setdefault(enclave.attrib["path"], [])
        for profile in enclave.iter("profile"):
            namespace = profile.attrib["ns"].rstrip("/")
            for group in profile:
                for name in (str(each.text) for each in group):
                    full = re.sub("^~", f"{namespace}/{profile.attrib['node']}", name)
                    full = full if full.startswith("/") else f"{namespace}/{full}"
                    rights += [(verb, full) for verb, rule in group.attrib.items() if rule == "ALLOW"]
    return found


def on_the_wire(rights: Allowed) -> Allowed:
    """Return the topics of DDS that permissions of ROS mean."""
    return [(verb, form.format(name)) for right, name in rights for verb, form in DDS[right]]


class Authority:
    """Makes keys and signs what they may do: what `ros2 security` calls a keystore."""

    def __init__(self, folder: Path, domain: int) -> None:
        self.folder, self._domain = folder, domain
        folder.mkdir()
        for name in ("identity_ca", "permissions_ca"):
            self._key(folder / f"{name}.key.pem")
            given = ("-key", folder / f"{name}.key.pem", "-subj", f"/CN={name}", "-days", "30")
            openssl("req", "-x509", "-new", *given, "-out", folder / f"{name}.cert.pem")
        self._sign(GOVERNANCE.format(domain=domain), folder / "governance.p7s")

    def enclave(self, name: str, rights: Allowed) -> Path:
        """Return the folder of a new enclave that may do so much, by topics of DDS."""
        folder = self.folder / name.strip("/").replace("/", "_")
        folder.mkdir()
        for file in ("identity_ca.cert.pem", "permissions_ca.cert.pem", "governance.p7s"):
            shutil.copy(self.folder / file, folder)
        self._key(folder / "key.pem")
        subject = "/CN=" + name.replace("/", "\\/")
        openssl("req", "-new", "-key", folder / "key.pem", "-subj", subject, "-out", folder / "request.csr")
        by = ("-CA", self.folder / "identity_ca.cert.pem", "-CAkey", self.folder / "identity_ca.key.pem")
        given = ("-in", folder / "request.csr", *by, "-CAcreateserial", "-days", "30")
        openssl("x509", "-req", *given, "-out", folder / "cert.pem")
        rules = ""
        for verb in ("publish", "subscribe"):
            topics = "".join(f"<topic>{topic}</topic>" for each, topic in rights if each == verb)
            rules += f"<{verb}><topics>{topics}</topics></{verb}>" if topics else ""
        self._sign(PERMISSIONS.format(name=name, domain=self._domain, rules=rules), folder / "permissions.p7s")
        return folder

    def _key(self, path: Path) -> None:
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)

    def _sign(self, text: str, path: Path) -> None:
        plain = path.with_suffix(".xml")
        plain.write_text(text)
        by = ("-signer", self.folder / "permissions_ca.cert.pem", "-inkey", self.folder / "permissions_ca.key.pem")
        openssl("smime", "-sign", "-text", "-in", plain, "-out", path, *by)


def openssl(*arguments: str | Path) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@dataclass
class Bench:
    """Where participants run.

    Attributes:
        probe: the program.
        domain: of DDS.
    """

    probe: Path
    domain: int

    def start(self, keys: Path | None, seconds: float, wishes: Allowed) -> subprocess.Popen[str]:
        """Start a participant with the keys of an enclave, or without any."""
        words = [f"{verb}:{topic}" for verb, topic in wishes]
        command = [str(self.probe), str(keys or "-"), str(self.domain), str(seconds), *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def open(self, keys: Path, wishes: Allowed) -> tuple[int, int]:
        """Return how many of the wishes a participant was granted and refused."""
        said = self.start(keys, 0.2, wishes).communicate(timeout=60)[0]
        return said.count("made "), said.count("REFUSED ")

    def talk(self, lidar: Path | None, node: Path | None) -> list[bool]:
        """Return whether the node heard the LiDAR, and the LiDAR the node's labels."""
        points, labels = "rt/points", "rt/clip2scene_segment/labels"
        first = self.start(lidar, TALK_S, [("publish", points), ("subscribe", labels)])
        second = self.start(node, TALK_S, [("subscribe", points), ("publish", labels)])
        said, answered = first.communicate(timeout=60)[0], second.communicate(timeout=60)[0]
        return [f"heard {points}" in answered, f"heard {labels}" in said]


def claims(bench: Bench, ours: Authority, theirs: Authority) -> list[tuple[str, object, object]]:
    """Return each claim with what was expected and what was found."""
    rights = {name: on_the_wire(those) for name, those in allowed().items()}
    keys = {name: ours.enclave(name, those) for name, those in rights.items()}
    segment = keys["/clip2scene/segment"]
    driver: Allowed = [("publish", "rt/points"), ("subscribe", "rt/clip2scene_segment/labels")]
    lidar, forger = ours.enclave("/lidar", driver), theirs.enclave("/lidar", driver)
    found: list[tuple[str, object, object]] = [
        ("control: without security they talk", [True, True], bench.talk(None, None)),
        ("with keys they talk", [True, True], bench.talk(lidar, segment)),
        ("a LiDAR without keys: neither hears the other", [False, False], bench.talk(None, segment)),
        ("a LiDAR with keys of another authority: the same", [False, False], bench.talk(forger, segment)),
    ]
    every = {right for those in rights.values() for right in those} | {("publish", "rt/cmd_vel")}
    for name, folder in keys.items():
        mine, others = rights[name], sorted(every - set(rights[name]))
        found.append((f"{name} opens all {len(mine)} that it may", (len(mine), 0), bench.open(folder, mine)))
        text = f"{name} opens none of {len(others)} that others may"
        found.append((text, (0, len(others)), bench.open(folder, others)))
    return found


def build(folder: Path) -> Path:
    """Return the compiled probe, or end the program with what is missing."""
    source, probe = Path(__file__).with_name("security_probe.cpp"), folder / "probe"
    command = ["g++", "-std=c++17", str(source), "-o", str(probe), "-lfastrtps", "-lfastcdr"]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        sys.exit("g++ is missing: apt install g++ libfastrtps-dev openssl")
    if made.returncode:
        sys.exit(f"The probe does not compile: apt install g++ libfastrtps-dev openssl\n{made.stderr[-2000:]}")
    return probe


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domain", type=int, default=int(os.environ.get("ROS_DOMAIN_ID", "0")))
    parser.add_argument("--json", type=Path, help="also write the findings to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clip2scene-security-") as name:
        bench = Bench(build(Path(name)), args.domain)
        found = claims(bench, *(Authority(Path(name) / who, args.domain) for who in ("ours", "theirs")))
    for claim, expected, came in found:
        print(f"{'held  ' if came == expected else 'FAILED'} {claim}: {came}")
    if args.json:
        rows = [{"claim": claim, "expected": expected, "found": came} for claim, expected, came in found]
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0 if all(came == expected for _, expected, came in found) else 1


if __name__ == "__main__":
    sys.exit(main())
