"""Settings of the photographer."""

from __future__ import annotations

from dataclasses import dataclass

from clip2scene_ros.settings import setting


@dataclass(frozen=True)
class PhotoConfig:
    """Everything about a photo that is not drawn from its seed."""

    size_px: int = setting(96, "width and height of a photo, one ray a pixel", low=16, high=1024)
    close_ups: float = setting(
        0.7, "share of photos whose subject fills more than half of the width; the others stand back", low=0.0, high=1.0
    )
    wrong: float = setting(0.1, "chance that a thing in a caption is called something else", low=0.0, high=1.0)
    visits: int = setting(32, "photos taken in one scene; building it costs as much as some twenty", low=1, high=1000)
    jpeg_quality: int = setting(92, "of the photos that are kept", low=1, high=95)
