"""Settings of what CLIP2Scene is measured against, and of what may improve it; all off by default."""

from __future__ import annotations

from dataclasses import dataclass, field

from clip2scene_ros.settings import setting


@dataclass(frozen=True)
class SuperpixelConfig:
    """How an image is divided into patches of like colour; the defaults are SLidR's."""

    count: int = setting(150, "superpixels of an image, about", low=1, high=10_000)
    compactness: float = setting(
        6.0, "how far apart in Lab colour counts as far apart as one superpixel is wide", low=0.01, high=1000.0
    )
    blur: float = setting(
        0.03, "standard deviation of the blur before, in widths of a superpixel: 3 px of 1600 x 900", low=0.0, high=1.0
    )
    rounds: int = setting(10, "of k-means", low=1, high=100)


@dataclass(frozen=True)
class ContrastConfig:
    """Points know their own pixel among others, without classes: PPKT and SLidR."""

    form: str = setting(
        "pairs", "single pairs, as PPKT, or means over `superpixels`, as SLidR", choices=("pairs", "superpixels")
    )
    temperature: float = setting(0.07, "of the softmax, as theirs", low=1e-3, high=100.0)
    pairs: int = setting(4096, "drawn of a batch's, as PPKT's; 0 takes all", low=0, high=1_000_000)
    superpixels: SuperpixelConfig = field(default_factory=SuperpixelConfig)
    weight: float = setting(0.0, "of this term; 0 leaves it out", low=0.0, high=100.0)


@dataclass(frozen=True)
class DistillConfig:
    """Points score all classes as their pixels do: KL divergence of logits."""

    temperature: float = setting(1.0, "of both softmaxes", low=1e-3, high=100.0)
    weight: float = setting(0.0, "of this term; 0 leaves it out", low=0.0, high=100.0)


@dataclass(frozen=True)
class FeatureConfig:
    """Points look like their pixels to CLIP: 1 - cosine, as OpenScene; they then answer to any words."""

    weight: float = setting(0.0, "of this term; 0 leaves it out", low=0.0, high=100.0)
