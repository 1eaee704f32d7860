"""LeNet-300-100: two hidden layers on MNIST's digits, LeCun et al. 1998.

As "The Lottery Ticket Hypothesis", arXiv 1803.03635, table 2, trains it: ReLU, Glorot's
normal initial weights, 266,200 of them.
"""

from __future__ import annotations

from torch import Tensor, nn

from tinyml.models.classifier import ImageClassifier, image_entry

PAPER = "arXiv 1803.03635"
SIDE = 28
MNIST_MEAN, MNIST_STD = (0.1307,), (0.3081,)


class LeNet300100(ImageClassifier):
    """Digits [B, 1, 28, 28] -> logits [B, classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.hidden1 = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 300), nn.ReLU())
        self.hidden2 = nn.Sequential(nn.Linear(300, 100), nn.ReLU())
        self.output = nn.Linear(100, classes)
        initialize_glorot(self)

    def classify(self, image: Tensor) -> Tensor:
        logits: Tensor = self.output(self.hidden2(self.hidden1(image)))
        return logits


def initialize_glorot(module: nn.Module) -> None:
    """Glorot's normal initial weights, zero biases, as 1803.03635 has them."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


LENET_300_100 = image_entry(
    "lenet-300-100",
    PAPER,
    "two hidden layers on 28 x 28 digits",
    LeNet300100,
    side=SIDE,
    stages=("hidden1", "hidden2", "output"),
    classes=10,
    mean=MNIST_MEAN,
    std=MNIST_STD,
)
