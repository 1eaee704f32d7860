"""EfficientNet: compound scaling of one base network, arXiv 1905.11946.

B0 is the base; B1 has 1.1 times its depth at 240 pixels. Channels are rounded to eights,
repeats upwards. The network is built from a `NetworkPlan`, whichever rule made it. Symmetric
padding, batch normalization with epsilon 1e-5: what timm's classes without the prefix
``tf_`` compute, whose state dicts load (`tinyml.models.timm_names`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from tinyml.models.architecture import between
from tinyml.models.classifier import ImageClassifier, image_entry
from tinyml.models.conv_layers import ConvNorm, PoolHead, initialize
from tinyml.models.mobilenet_v2 import InvertedResidual, stage_of
from tinyml.models.plans import (
    BASE,
    STEM_CHANNELS,
    TOP_CHANNELS,
    Group,
    NetworkPlan,
    in_eights,
    scaled_groups,
    squeezed_channels,
)
from tinyml.models.protocol import LayerSparsity, ModelEntry
from tinyml.models.recalibration import NONE, recalibrate, recalibration_option
from tinyml.models.timm_names import from_timm

PAPER = "arXiv 1905.11946"
DROPOUT = 0.2
STAGE_NAMES = tuple(f"stage{n}" for n in range(1, len(BASE.groups) + 1))
STAGES = ("stem", *STAGE_NAMES, "top", "head")


@dataclass(frozen=True, slots=True)
class EfficientNetArchitecture:
    """Multipliers of channels and repeats, and the side of the image in pixels."""

    width: float = between(1.0, 0.05, 4.0)
    depth: float = between(1.0, 0.1, 4.0)
    resolution: int = between(224, 16, 1024)
    recalibration: str = recalibration_option()


def plan(width: float, depth: float) -> NetworkPlan:
    """EfficientNet's rule: every layer is scaled, repeats are rounded upwards."""
    groups = scaled_groups(width, lambda repeats: math.ceil(repeats * depth))
    return NetworkPlan(in_eights(STEM_CHANNELS * width), groups, in_eights(TOP_CHANNELS * width))


class EfficientNet(ImageClassifier):
    """Images [B, 3, side, side] -> logits [B, classes]."""

    def __init__(self, classes: int, plan: NetworkPlan, recalibration: str = NONE) -> None:
        super().__init__()
        channels = plan.stem
        self.stem = ConvNorm(3, channels, 3, 2, activation=nn.SiLU)
        for name, group in zip(STAGE_NAMES, plan.groups, strict=True):
            block = _block_of(group)
            stage = stage_of(channels, group.channels, group.repeats, group.stride, block)
            setattr(self, name, stage)
            channels = group.channels
        self.top = ConvNorm(channels, plan.top, 1, activation=nn.SiLU)
        self.head = PoolHead(plan.top, classes, DROPOUT)
        recalibrate(self, recalibration, STAGE_NAMES)
        initialize(self)

    def classify(self, image: Tensor) -> Tensor:
        maps = self.stem(image)
        for name in STAGE_NAMES:
            maps = self.get_submodule(name)(maps)
        logits: Tensor = self.head(self.top(maps))
        return logits


def _block_of(group: Group) -> Callable[..., nn.Module]:
    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        squeezed = squeezed_channels(inputs)
        return InvertedResidual(
            inputs, outputs, group.kernel, stride, group.expansion, squeezed, nn.SiLU
        )

    return block


def scaled_entry(
    name: str,
    summary: str,
    default: EfficientNetArchitecture,
    rule: Callable[[float, float], NetworkPlan],
    sparsity: tuple[LayerSparsity, ...] = (),
    paper: str = PAPER,
) -> ModelEntry:
    """A preset whose ``rule`` makes a plan of width and depth."""

    def build(classes: int) -> EfficientNet:
        return EfficientNet(classes, rule(default.width, default.depth), default.recalibration)

    return image_entry(
        name,
        paper,
        summary,
        build,
        side=default.resolution,
        stages=STAGES,
        architecture=default,
        rebuilt=lambda other: scaled_entry(name, summary, other, rule, sparsity, paper),
        sparsity=sparsity,
        rename=from_timm,
    )


B0, B1 = EfficientNetArchitecture(), EfficientNetArchitecture(depth=1.1, resolution=240)
EFFICIENTNET_B0 = scaled_entry("efficientnet-b0", "the base of compound scaling", B0, plan)
EFFICIENTNET_B1 = scaled_entry("efficientnet-b1", "B0 with 1.1 times the depth", B1, plan)
