"""A data set from which cameras were taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from clip2scene_ros.frame import Frame


class _Frames(Protocol):
    @property
    def scenes(self) -> list[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame: ...


class WithoutViews:
    """Frames of drives without one camera, or without any.

    Attributes:
        scenes: name of each frame's scene.
        digest: of the frames; none that has these cameras has the same.
    """

    def __init__(self, frames: _Frames, camera: str = "") -> None:
        """Take away the views of `camera`, of all cameras if none is named."""
        self._frames, self._camera, self.scenes = frames, camera, frames.scenes
        self.digest = f"{getattr(frames, 'digest', '')} without {camera or 'views'}"

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._frames)

    def __getitem__(self, index: int) -> Frame:
        """Return a frame without the views."""
        frame = self._frames[index]
        return replace(frame, views=tuple(view for view in frame.views if self._camera and view.name != self._camera))
