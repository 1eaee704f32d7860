"""ResNet for CIFAR: "Deep Residual Learning", arXiv 1512.03385, section 4.2.

A block that changes its shape has a 1x1 convolution next to it, the paper's option B: its
option A, padding with zero channels, would be a slice and a concatenation in every format.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tinyml.models.architecture import between, one_of
from tinyml.models.classifier import CIFAR_MEAN, CIFAR_STD, ImageClassifier, image_entry
from tinyml.models.conv_layers import ConvNorm, PoolHead, initialize
from tinyml.models.protocol import ModelEntry
from tinyml.models.recalibration import recalibrate, recalibration_option

PAPER = "arXiv 1512.03385"
CHANNELS = (16, 32, 64)


@dataclass(frozen=True, slots=True)
class ResNetArchitecture:
    """depth counts the weighted layers along the path: 6 n + 2."""

    depth: int = one_of(20, 8, 14, 26, 32, 44, 56, 110)
    width: float = between(1.0, 0.1, 8.0)
    resolution: int = between(32, 16, 1024)
    recalibration: str = recalibration_option()


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions next to a shortcut; ReLU after their sum."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs, 3, stride)
        self.conv2 = ConvNorm(outputs, outputs, 3, activation=None)
        changes = stride != 1 or inputs != outputs
        self.shortcut = (
            ConvNorm(inputs, outputs, 1, stride, activation=None) if changes else nn.Identity()
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(self.conv2(self.conv1(maps)) + self.shortcut(maps))


class ResNetCifar(ImageClassifier):
    """Images [B, 3, side, side] -> logits [B, classes]."""

    def __init__(self, classes: int, architecture: ResNetArchitecture) -> None:
        super().__init__()
        widths = [max(1, round(base * architecture.width)) for base in CHANNELS]
        repeats = (architecture.depth - 2) // 6
        self.stem = ConvNorm(3, widths[0], 3)
        self.stage1 = _stage(widths[0], widths[0], repeats, stride=1)
        self.stage2 = _stage(widths[0], widths[1], repeats, stride=2)
        self.stage3 = _stage(widths[1], widths[2], repeats, stride=2)
        self.head = PoolHead(widths[2], classes)
        recalibrate(self, architecture.recalibration, ("stage1", "stage2", "stage3"))
        initialize(self)

    def classify(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stage3(self.stage2(self.stage1(self.stem(image)))))
        return logits


def _stage(inputs: int, outputs: int, repeats: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(ResidualBlock(outputs, outputs, 1) for _ in range(repeats - 1)))


def entry(default: ResNetArchitecture) -> ModelEntry:
    """The registry's ResNet with ``default`` as its architecture."""
    return image_entry(
        "resnet-20",
        PAPER,
        "residual network on 32 x 32 images",
        lambda classes: ResNetCifar(classes, default),
        side=default.resolution,
        stages=("stem", "stage1", "stage2", "stage3", "head"),
        classes=10,
        mean=CIFAR_MEAN,
        std=CIFAR_STD,
        architecture=default,
        rebuilt=entry,
    )


RESNET_20 = entry(ResNetArchitecture())
