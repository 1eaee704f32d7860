"""Conv-2, Conv-4 and Conv-6: VGG cut short for CIFAR-10, arXiv 1803.03635.

One, two or three pairs of 3x3 convolutions with a 2x2 maximum after each, then two hidden
layers of 256. Without batch normalization; Glorot's normal initial weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from tinyml.models.architecture import between
from tinyml.models.classifier import CIFAR_MEAN, CIFAR_STD, ImageClassifier, image_entry
from tinyml.models.lenet import initialize_glorot
from tinyml.models.protocol import ModelEntry
from tinyml.models.recalibration import recalibrate, recalibration_option

PAPER = "arXiv 1803.03635"
SIDE = 32
CHANNELS = (64, 128, 256)
HIDDEN = 256


@dataclass(frozen=True, slots=True)
class ConvNArchitecture:
    """Factor on the channels of the convolutions."""

    width: float = between(1.0, 0.1, 4.0)
    recalibration: str = recalibration_option()


class ConvN(ImageClassifier):
    """Images [B, 3, 32, 32] -> logits [B, classes], with ``pairs`` of convolutions."""

    def __init__(self, classes: int, pairs: int, architecture: ConvNArchitecture) -> None:
        super().__init__()
        channels, side = 3, SIDE
        for number, base in enumerate(CHANNELS[:pairs], 1):
            outputs = max(1, round(base * architecture.width))
            setattr(self, f"pair{number}", _pair(channels, outputs))
            channels, side = outputs, side // 2
        self.hidden1 = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * side * side, HIDDEN), nn.ReLU()
        )
        self.hidden2 = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
        self.output = nn.Linear(HIDDEN, classes)
        self.pairs = pairs
        names = [f"pair{n}" for n in range(1, pairs + 1)]
        recalibrate(self, architecture.recalibration, names)
        initialize_glorot(self)

    def classify(self, image: Tensor) -> Tensor:
        maps = image
        for number in range(1, self.pairs + 1):
            maps = self.get_submodule(f"pair{number}")(maps)
        logits: Tensor = self.output(self.hidden2(self.hidden1(maps)))
        return logits


def _pair(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


def entry(pairs: int, default: ConvNArchitecture) -> ModelEntry:
    """Conv-2, -4 or -6 by its ``pairs`` of convolutions."""
    return image_entry(
        f"conv-{2 * pairs}",
        PAPER,
        f"{2 * pairs} convolutions and two hidden layers on 32 x 32 images",
        lambda classes: ConvN(classes, pairs, default),
        side=SIDE,
        stages=(*(f"pair{n}" for n in range(1, pairs + 1)), "hidden1", "hidden2", "output"),
        classes=10,
        mean=CIFAR_MEAN,
        std=CIFAR_STD,
        architecture=default,
        rebuilt=lambda other: entry(pairs, other),
    )


CONV_2, CONV_4, CONV_6 = (entry(pairs, ConvNArchitecture()) for pairs in (1, 2, 3))
