"""VGG-16 for CIFAR: "Very Deep Convolutional Networks", arXiv 1409.1556, configuration D.

For 32 x 32 images as in the lottery-ticket work (arXiv 1803.03635): batch normalization,
and one linear layer after the global average in place of three.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from tinyml.models.architecture import between, chosen
from tinyml.models.classifier import CIFAR_MEAN, CIFAR_STD, ImageClassifier, image_entry
from tinyml.models.conv_layers import ConvNorm, PoolHead, initialize
from tinyml.spec import ModelEntry

PAPER = "arXiv 1409.1556"
# (channels, convolutions) between two halvings of the image.
STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


@dataclass(frozen=True, slots=True)
class Architecture:
    """Factor on all channels, and the image's side in pixels."""

    width: float = between(1.0, 0.05, 4.0)
    resolution: int = between(32, 32, 512)


class VggCifar(ImageClassifier):
    """Images [B, 3, side, side] -> logits [B, classes]."""

    def __init__(self, classes: int, architecture: Architecture) -> None:
        super().__init__()
        channels = 3
        for number, (base, repeats) in enumerate(STAGES, 1):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if number > 1 else []
            outputs = max(1, round(base * architecture.width))
            for _ in range(repeats):
                layers.append(ConvNorm(channels, outputs, 3))
                channels = outputs
            setattr(self, f"stage{number}", nn.Sequential(*layers))
        self.head = PoolHead(channels, classes)
        initialize(self)

    def classify(self, image: Tensor) -> Tensor:
        maps = image
        for number in range(1, len(STAGES) + 1):
            maps = self.get_submodule(f"stage{number}")(maps)
        logits: Tensor = self.head(maps)
        return logits


def entry(default: Architecture) -> ModelEntry:
    """The registry's VGG with ``default`` as its architecture."""
    return image_entry(
        "vgg-16",
        PAPER,
        "13 convolutions on 32 x 32 images",
        lambda classes: VggCifar(classes, default),
        side=default.resolution,
        stages=(*(f"stage{n}" for n in range(1, len(STAGES) + 1)), "head"),
        classes=10,
        mean=CIFAR_MEAN,
        std=CIFAR_STD,
        configure=lambda options: entry(chosen("vgg-16", options, default)),
    )


VGG_16 = entry(Architecture())
