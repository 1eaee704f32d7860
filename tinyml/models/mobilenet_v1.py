"""MobileNet-v1: depthwise separable convolutions, "MobileNets", arXiv 1704.04861, table 1.

Channels times the width multiplier are rounded to eights, which blocks of 2 and 4 output
channels divide. The stem is a 3x3 convolution with stride 2 of three channels, padded by
one on all sides: what XNNPACK's sparse path begins with.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from tinyml.models.architecture import between, one_of
from tinyml.models.classifier import ImageClassifier, image_entry
from tinyml.models.conv_layers import ConvNorm, PoolHead, initialize
from tinyml.models.plans import in_eights
from tinyml.models.protocol import LayerSparsity, ModelEntry
from tinyml.models.recalibration import recalibrate, recalibration_option

PAPER = "arXiv 1704.04861"
STEM_CHANNELS = 32
# Output channels of the blocks between two halvings of the image; the first block halves.
STAGES = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))
STAGE_NAMES = tuple(f"stage{n}" for n in range(1, len(STAGES) + 1))


@dataclass(frozen=True, slots=True)
class MobileNetV1Architecture:
    """width of all layers, side of the image in pixels, stride of the stem (1: tiny images)."""

    width: float = between(1.0, 0.1, 4.0)
    resolution: int = between(224, 32, 1024)
    stem_stride: int = one_of(2, 1)
    recalibration: str = recalibration_option()


class DepthwiseSeparableBlock(nn.Module):
    """Depthwise 3x3, then pointwise, each with batch normalization and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = ConvNorm(inputs, inputs, 3, stride, groups=inputs)
        self.pointwise = ConvNorm(inputs, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        mixed: Tensor = self.pointwise(self.depthwise(maps))
        return mixed


class MobileNetV1(ImageClassifier):
    """Images [B, 3, side, side] -> logits [B, classes]."""

    def __init__(self, classes: int, architecture: MobileNetV1Architecture) -> None:
        super().__init__()
        channels = in_eights(STEM_CHANNELS * architecture.width)
        self.stem = ConvNorm(3, channels, 3, architecture.stem_stride)
        for name, stage in zip(STAGE_NAMES, STAGES, strict=True):
            blocks = []
            for position, base in enumerate(stage):
                outputs = in_eights(base * architecture.width)
                halving = name != STAGE_NAMES[0] and position == 0
                blocks.append(DepthwiseSeparableBlock(channels, outputs, 2 if halving else 1))
                channels = outputs
            setattr(self, name, nn.Sequential(*blocks))
        self.head = PoolHead(channels, classes)
        recalibrate(self, architecture.recalibration, STAGE_NAMES)
        initialize(self)

    def classify(self, image: Tensor) -> Tensor:
        maps = self.stem(image)
        for name in STAGE_NAMES:
            maps = self.get_submodule(name)(maps)
        logits: Tensor = self.head(maps)
        return logits


def entry(
    name: str,
    summary: str,
    default: MobileNetV1Architecture,
    sparsity: tuple[LayerSparsity, ...] = (),
    paper: str = PAPER,
) -> ModelEntry:
    """A preset under its registered name."""
    return image_entry(
        name,
        paper,
        summary,
        lambda classes: MobileNetV1(classes, default),
        side=default.resolution,
        stages=("stem", *STAGE_NAMES, "head"),
        architecture=default,
        rebuilt=lambda other: entry(name, summary, other, sparsity, paper),
        sparsity=sparsity,
    )


MOBILENET_V1 = entry("mobilenet-v1", "depthwise separable convolutions", MobileNetV1Architecture())
