"""The benchmark's splits by scene: which seeds, which settings, which frames of each drive.

Nothing is tuned on `test` or `ood`; development looks at `val`. Any other seed may be driven through with a split's
settings, so that a list of seeds that nobody has seen can check a release.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.rigs import with_rig

FRAMES = 8
"""Key frames of a scene."""
EVERY = 15
"""Sweeps between two of them: 0.75 s, some 6 m."""
SECONDS = 6.0
"""Length of a scene's drive. It is part of the scene: a longer drive meets other traffic."""

IN_DISTRIBUTION = WorldConfig(duration_s=SECONDS)
OUT_OF_DISTRIBUTION = with_rig(
    replace(IN_DISTRIBUTION, assets="unseen", towns="unseen", weather="night_or_fog"), "unseen"
)
"""Shapes, towns, light and sensors that no other split has."""


@dataclass(frozen=True)
class Split:
    """Scenes that are used for one purpose.

    Attributes:
        name: `train`, `val`, `test` or `ood`.
        seeds: one scene each.
        config: settings of every scene.
    """

    name: str
    seeds: Sequence[int]
    config: WorldConfig = IN_DISTRIBUTION


SPLITS = {
    split.name: split
    for split in (
        Split("train", range(0, 200)),
        Split("val", range(100_000, 100_030)),
        Split("test", range(300_000, 300_040)),
        Split("ood", range(400_000, 400_040), OUT_OF_DISTRIBUTION),
    )
}
