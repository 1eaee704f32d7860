"""MobileNet-v2: inverted residuals with linear bottlenecks, arXiv 1801.04381, table 2.

Channels times the width multiplier are rounded to eights; the last convolution keeps its
1280 channels below a width of 1. The stem is as in `tinyml.models.mobilenet_v1`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from tinyml.models.architecture import between, one_of
from tinyml.models.classifier import ImageClassifier, image_entry
from tinyml.models.conv_layers import Activation, ConvNorm, PoolHead, initialize
from tinyml.models.plans import in_eights
from tinyml.models.protocol import LayerSparsity, ModelEntry
from tinyml.models.recalibration import SqueezeExcite, recalibrate, recalibration_option

PAPER = "arXiv 1801.04381"
STEM_CHANNELS, TOP_CHANNELS = 32, 1280
# (expansion, output channels, blocks, stride of the first block)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STAGE_NAMES = tuple(f"stage{n}" for n in range(1, len(STAGES) + 1))


@dataclass(frozen=True, slots=True)
class MobileNetV2Architecture:
    """width of all layers, side of the image in pixels, stride of the stem (1: tiny images)."""

    width: float = between(1.0, 0.1, 4.0)
    resolution: int = between(224, 32, 1024)
    stem_stride: int = one_of(2, 1)
    recalibration: str = recalibration_option()


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, squeeze-and-excite if asked, project 1x1 without activation.

    Without expansion (1) the first is missing. The input is added where shapes allow.
    ``squeezed`` channels are between the two layers of the squeeze; 0 leaves it out.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        expansion: int = 6,
        squeezed: int = 0,
        activation: Activation = nn.ReLU6,
    ) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = (
            ConvNorm(inputs, inner, 1, activation=activation) if expansion > 1 else nn.Identity()
        )
        self.depthwise = ConvNorm(inner, inner, kernel, stride, inner, activation)
        self.squeeze = SqueezeExcite(inner, squeezed, activation) if squeezed else nn.Identity()
        self.project = ConvNorm(inner, outputs, 1, activation=None)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        projected: Tensor = self.project(self.squeeze(self.depthwise(self.expand(maps))))
        return projected + maps if self.adds else projected


def stage_of(
    inputs: int, outputs: int, repeats: int, stride: int, block: Callable[..., nn.Module]
) -> nn.Sequential:
    """``repeats`` blocks, of which the first has ``stride`` and changes the channels."""
    first = block(inputs, outputs, stride=stride)
    return nn.Sequential(first, *(block(outputs, outputs, stride=1) for _ in range(repeats - 1)))


class MobileNetV2(ImageClassifier):
    """Images [B, 3, side, side] -> logits [B, classes]."""

    def __init__(self, classes: int, architecture: MobileNetV2Architecture) -> None:
        super().__init__()
        width = architecture.width
        channels = in_eights(STEM_CHANNELS * width)
        self.stem = ConvNorm(3, channels, 3, architecture.stem_stride, activation=nn.ReLU6)
        for name, (expansion, base, repeats, stride) in zip(STAGE_NAMES, STAGES, strict=True):
            outputs = in_eights(base * width)
            block = _block_with(expansion)
            setattr(self, name, stage_of(channels, outputs, repeats, stride, block))
            channels = outputs
        top = in_eights(TOP_CHANNELS * max(1.0, width))
        self.top = ConvNorm(channels, top, 1, activation=nn.ReLU6)
        self.head = PoolHead(top, classes, dropout=0.2)
        recalibrate(self, architecture.recalibration, STAGE_NAMES)
        initialize(self)

    def classify(self, image: Tensor) -> Tensor:
        maps = self.stem(image)
        for name in STAGE_NAMES:
            maps = self.get_submodule(name)(maps)
        logits: Tensor = self.head(self.top(maps))
        return logits


def _block_with(expansion: int) -> Callable[..., nn.Module]:
    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        return InvertedResidual(inputs, outputs, stride=stride, expansion=expansion)

    return block


def entry(
    name: str,
    summary: str,
    default: MobileNetV2Architecture,
    sparsity: tuple[LayerSparsity, ...] = (),
    paper: str = PAPER,
) -> ModelEntry:
    """A preset under its registered name."""
    return image_entry(
        name,
        paper,
        summary,
        lambda classes: MobileNetV2(classes, default),
        side=default.resolution,
        stages=("stem", *STAGE_NAMES, "top", "head"),
        architecture=default,
        rebuilt=lambda other: entry(name, summary, other, sparsity, paper),
        sparsity=sparsity,
    )


MOBILENET_V2 = entry(
    "mobilenet-v2", "inverted residuals, linear bottlenecks", MobileNetV2Architecture()
)
