"""What tests of `clip2scene compare` and `label` share."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from clip2scene_ros.io.bags import BagReader, BagWriter

VOID_TAGS = {"meta", "img", "line", "polyline"}


class Tags(HTMLParser):
    """Notes tags that are open, and all that were met."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.met: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.met.append(tag)
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.met.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def without(source: Path, target: Path, *topics: str) -> Path:
    with BagReader(source) as bag, BagWriter(target) as out:
        for topic, kind, stamp_ns, data in bag.raw():
            if topic not in topics:
                out.write_raw(topic, kind, data, stamp_ns, latched=topic in bag.latched, types=bag.types)
    return target
