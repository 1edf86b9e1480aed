"""Labelled scans in the browser, on viser (extra `viewer`), and a viewer that shows nothing."""

from __future__ import annotations

import html
import logging
import os
import threading
import webbrowser
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.frame import UNKNOWN, Array, Frame, Segmentation

LOCALHOST = "127.0.0.1"
"""Only this machine may look: a drive is private. viser's own default is every interface."""

PORT = 8080
POINT_SIZE_M = 0.08
CAMERA_POSITION_M = (-28.0, 0.0, 20.0)
"""Behind and above the vehicle, which drives along +x."""

CAMERA_TARGET_M = (8.0, 0.0, 0.0)
CONFIDENT, UNSURE = np.array([30, 60, 120], dtype=np.float32), np.array([255, 200, 40], dtype=np.float32)
RIGHT_COLOR, WRONG_COLOR, UNSCORED_COLOR = (70, 170, 90), (235, 50, 50), (96, 96, 96)

LabelledFrames = Iterable[tuple[Frame, Segmentation]]
logger = logging.getLogger(__name__)


class Viewer(Protocol):
    """What shows labelled scans to a person.

    Attributes:
        url: where to look, or an empty string.
    """

    url: str

    def show(self, labelled: LabelledFrames, class_set: ClassSet, title: str) -> None:
        """Show `labelled`, with a slider over them."""

    def wait(self) -> None:
        """Block until Ctrl-C, while a person looks."""


def open_viewer(wanted: bool) -> Viewer:
    """Return a viewer in the browser, or one that shows nothing.

    Raises:
        ModuleNotFoundError: it is wanted, but the extra `viewer` is not installed.
    """
    return BrowserViewer() if wanted else NullViewer()


class NullViewer:
    """Shows nothing: the viewer where none was asked for."""

    url = ""

    def show(self, labelled: LabelledFrames, class_set: ClassSet, title: str) -> None:
        """Do nothing."""

    def wait(self) -> None:
        """Return at once."""


class BrowserViewer:
    """A local web page with the cloud in 3D, a slider over the scans, and what the colours mean.

    Args:
        port: TCP port; the next free one is taken when it is in use.

    Raises:
        ModuleNotFoundError: the extra `viewer` is not installed.
    """

    def __init__(self, port: int = PORT) -> None:
        import viser  # type: ignore[import-not-found, unused-ignore]

        self._server: Any = viser.ViserServer(host=LOCALHOST, port=port, verbose=False)
        self.url = f"http://{LOCALHOST}:{self._server.get_port()}"
        self._server.scene.set_up_direction("+z")
        self._server.gui.configure_theme(show_share_button=False)  # it would open the drive to the internet
        self._server.on_client_connect(_look_at_the_vehicle)

    def show(self, labelled: LabelledFrames, class_set: ClassSet, title: str) -> None:
        """Show the labelled scans and open the browser where there is a display.

        Args:
            labelled: frames and their segmentations, at least one; all are kept in memory.
            class_set: names and colours.
            title: one line above the controls.
        """
        scans, gui = list(labelled), self._server.gui
        gui.add_markdown(f"**{title}**")
        scan = gui.add_slider("scan", min=0, max=max(len(scans) - 1, 1), step=1, initial_value=0)
        choice = gui.add_dropdown("colour", tuple(colorings(scans[0])))
        size = gui.add_slider("point size [m]", min=0.02, max=0.3, step=0.01, initial_value=POINT_SIZE_M)
        gui.add_html(legend_html(class_set))

        def draw(_: object = None) -> None:
            frame, segmentation = scans[min(int(scan.value), len(scans) - 1)]
            shown = np.isfinite(frame.scan.points).all(axis=1)
            colors = color_points(frame, segmentation, class_set, choice.value)
            self._server.scene.add_point_cloud(
                "/scan", frame.scan.points[shown], colors[shown], point_size=size.value, point_shape="circle"
            )

        for control in (scan, choice, size):
            control.on_update(draw)
        draw()
        if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            webbrowser.open(self.url)

    def wait(self) -> None:
        """Serve the page until Ctrl-C, which is the normal end of looking."""
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            logger.info("The viewer was closed.")
        finally:
            self._server.stop()


def colorings(labelled: tuple[Frame, Segmentation]) -> list[str]:
    """Return the ways in which this scan can be coloured; those of the ground truth only where it has one."""
    truth = ["ground truth", "right and wrong"] if labelled[0].labels is not None else []
    return ["class", *truth, "entropy"]


def color_points(frame: Frame, segmentation: Segmentation, class_set: ClassSet, coloring: str) -> Array:
    """Return (N, 3) uint8 RGB of the scan's points in one of the ways of `colorings`."""
    if coloring == "entropy":
        share = np.clip(segmentation.entropy, 0.0, 1.0)[:, None]
        mixed: Array = (CONFIDENT + share * (UNSURE - CONFIDENT)).astype(np.uint8)
        return mixed
    if frame.labels is not None and coloring == "ground truth":
        truth: Array = class_set.palette[frame.labels]
        return truth
    if frame.labels is not None and coloring == "right and wrong":
        right = frame.labels == segmentation.class_id
        judged = np.where(right[:, None], RIGHT_COLOR, WRONG_COLOR)
        verdict: Array = np.where((frame.labels == UNKNOWN)[:, None], UNSCORED_COLOR, judged).astype(np.uint8)
        return verdict
    colors: Array = class_set.palette[segmentation.class_id]
    return colors


def legend_html(class_set: ClassSet) -> str:
    """Return a small HTML table of the classes and their colours."""
    rows = [(c.name, c.color) for c in class_set.classes] + [("unknown", tuple(map(int, class_set.palette[UNKNOWN])))]
    return (
        "<div style='padding:0.5em 1em;font-size:0.85em'>"
        + "".join(
            f"<div><span style='color:rgb({r},{g},{b})'>&#9632;</span> {html.escape(name)}</div>"
            for name, (r, g, b) in rows
        )
        + "</div>"
    )


def _look_at_the_vehicle(client: Any) -> None:  # noqa: ANN401 - viser is an extra
    client.camera.position = CAMERA_POSITION_M
    client.camera.look_at = CAMERA_TARGET_M
