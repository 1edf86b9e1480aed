"""Settings of `clip2scene pretrain`, and choices of them: the paper, its released code, the best so far, its rivals."""

from __future__ import annotations

from dataclasses import dataclass, field

from clip2scene_ros.config import ClipConfig, LabelerConfig, TextConfig
from clip2scene_ros.settings import setting
from clip2scene_training.config import (
    OFFICIAL_LOSSES,
    RIVALS,
    AugmentConfig,
    ImageAugmentConfig,
    PairsConfig,
    PretrainDataConfig,
    PretrainLossConfig,
    SemanticConfig,
    SpaceTimeConfig,
    SweepsConfig,
    SwitchConfig,
    TrainingConfig,
)
from clip2scene_training.rival_config import ContrastConfig, DistillConfig, FeatureConfig


@dataclass(frozen=True)
class PretrainConfig(TrainingConfig):
    """How a student learns without labels; the defaults are the paper's method with its bugs mended."""

    # who says what is in the images, in which words: as `clip2scene label`
    teacher: str = setting(
        "",
        "empty: CLIP; else label images of another segmenter: a folder, or `bag`, topics of the bags; a student's "
        "checkpoint, .safetensors: a second round; `noisy:0.3`: the world's own truth, 30 % of it wrong",
    )
    classes: str = setting("world", "a class set by name or file, or one's own words: 'road, street; car, van'")
    clip: ClipConfig = field(default_factory=ClipConfig)
    text: TextConfig = field(default_factory=TextConfig)
    labeler: LabelerConfig = field(default_factory=LabelerConfig)
    # what is learned from
    sweeps: SweepsConfig = field(default_factory=SweepsConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    images: ImageAugmentConfig = field(default_factory=ImageAugmentConfig)
    augment: AugmentConfig = field(default_factory=lambda: AugmentConfig(scale=0.0, intensity=0.0))
    # what is counted wrong
    semantic: SemanticConfig = field(default_factory=SemanticConfig)
    space_time: SpaceTimeConfig = field(default_factory=SpaceTimeConfig)
    switching: SwitchConfig = field(default_factory=SwitchConfig)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    feature: FeatureConfig = field(default_factory=FeatureConfig)
    # how
    optimizer: str = setting(
        "adamw", "`sgd` is the paper's, with momentum 0.9 and dampening 0.1", choices=("adamw", "sgd")
    )
    precision: str = setting(
        "fp32", "of the network; `bf16` mixes, losses are computed in fp32", choices=("fp32", "bf16")
    )
    # what the checkpoint says of itself
    data_licence: str = setting("not stated", "of the frames learned from")
    text_licence: str = setting("not stated", "of the CLIP whose words are learned")

    @property
    def data(self) -> PretrainDataConfig:
        """Return the settings of samples; voxels and range are the network's."""
        return PretrainDataConfig(
            self.sweeps,
            self.pairs,
            self.images,
            self.augment,
            self.network.voxel_size_m,
            self.network.in_channels,
            self.min_range_m,
            self.max_range_m,
        )

    @property
    def losses(self) -> PretrainLossConfig:
        """Return the settings of the losses."""
        return PretrainLossConfig(
            self.semantic, self.space_time, self.switching, self.contrast, self.distill, self.feature
        )


PAPER = PretrainConfig(
    # The paper tests no occlusion: what hides behind a car has the car's pixel.
    pairs=PairsConfig(visibility=False),
    # 1.10 of the paper: SGD, a cosine to 0 from the first step on, no limit to gradients.
    optimizer="sgd",
    learning_rate=0.1,
    warmup=0.0,
    weight_decay=1e-4,
    clip_norm=1e6,
    batch_size=4,
)
"""CLIP2Scene (Chen et al., CVPR 2023) as it is written, with what is wrong in its code mended."""

OFFICIAL = PretrainConfig(
    pairs=PAPER.pairs,
    semantic=OFFICIAL_LOSSES.semantic,
    space_time=OFFICIAL_LOSSES.space_time,
    switching=OFFICIAL_LOSSES.switching,
    optimizer="sgd",
    learning_rate=0.1,
    warmup=0.0,
    weight_decay=1e-4,
    clip_norm=1e6,
    batch_size=4,
)
"""As its released code: D1, D2 and D5 to D9 of docs/losses.md. D3 and D4 are `--dense.official`."""

BEST = PretrainConfig(
    labeler=LabelerConfig(ground=True, columns=True, clusters=True, keep=0.7),
    pairs=PairsConfig(labels="point"),
    images=ImageAugmentConfig(give="none"),
    # A vehicle drives along its street: on val the largest gain of all settings.
    augment=AugmentConfig(turn="none", scale=0.0, intensity=0.0),
    semantic=SemanticConfig(normalize=True, temperature=0.1, balance=0.5, lovasz=1.0),
    # One sweep has no other to be consistent with; self-training cost mIoU on val at this length.
    space_time=SpaceTimeConfig(weight=0.0),
    switching=SwitchConfig(probability=0.0),
    # As many scans of other places teach more than earlier sweeps of the same.
    sweeps=SweepsConfig(count=1),
    learning_rate=6e-3,
)
"""What is best on val at equal samples: labels after votes and rules, the surest of each class, rare classes weighing
more. What was tried: docs/pretrain.md."""

PRESETS = {"paper": PAPER, "official": OFFICIAL, "best": BEST} | {
    name: PretrainConfig(
        semantic=losses.semantic,
        space_time=losses.space_time,
        switching=losses.switching,
        contrast=losses.contrast,
        distill=losses.distill,
        feature=losses.feature,
    )
    for name, losses in RIVALS.items()
}
