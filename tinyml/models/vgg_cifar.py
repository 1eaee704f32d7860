"""VGG-16 for CIFAR: "Very Deep Convolutional Networks", arXiv 1409.1556, configuration D.

For 32 x 32 images as in the lottery-ticket work (arXiv 1803.03635): batch normalization,
and one linear layer after the global average in place of three.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from tinyml.models.architecture import between
from tinyml.models.classifier import CIFAR_MEAN, CIFAR_STD, ImageClassifier, image_entry
from tinyml.models.conv_layers import ConvNorm, PoolHead, initialize
from tinyml.models.protocol import ModelEntry
from tinyml.models.recalibration import recalibrate, recalibration_option

PAPER = "arXiv 1409.1556"
# (channels, convolutions) between two halvings of the image.
STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
STAGE_NAMES = tuple(f"stage{n}" for n in range(1, len(STAGES) + 1))


@dataclass(frozen=True, slots=True)
class VggArchitecture:
    """Factor on all channels, and the image's side in pixels."""

    width: float = between(1.0, 0.05, 4.0)
    resolution: int = between(32, 32, 512)
    recalibration: str = recalibration_option()


class VggCifar(ImageClassifier):
    """Images [B, 3, side, side] -> logits [B, classes]."""

    def __init__(self, classes: int, architecture: VggArchitecture) -> None:
        super().__init__()
        channels = 3
        for name, (base, repeats) in zip(STAGE_NAMES, STAGES, strict=True):
            layers: list[nn.Module] = [] if name == STAGE_NAMES[0] else [nn.MaxPool2d(2)]
            outputs = max(1, round(base * architecture.width))
            for _ in range(repeats):
                layers.append(ConvNorm(channels, outputs, 3))
                channels = outputs
            setattr(self, name, nn.Sequential(*layers))
        self.head = PoolHead(channels, classes)
        recalibrate(self, architecture.recalibration, STAGE_NAMES)
        initialize(self)

    def classify(self, image: Tensor) -> Tensor:
        maps = image
        for name in STAGE_NAMES:
            maps = self.get_submodule(name)(maps)
        logits: Tensor = self.head(maps)
        return logits


def entry(default: VggArchitecture) -> ModelEntry:
    """The registry's VGG with ``default`` as its architecture."""
    return image_entry(
        "vgg-16",
        PAPER,
        "13 convolutions on 32 x 32 images",
        lambda classes: VggCifar(classes, default),
        side=default.resolution,
        stages=(*STAGE_NAMES, "head"),
        classes=10,
        mean=CIFAR_MEAN,
        std=CIFAR_STD,
        architecture=default,
        rebuilt=entry,
    )


VGG_16 = entry(VggArchitecture())
