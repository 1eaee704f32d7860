"""A small network with the layers that XNNPACK and onnxruntime have kernels of their own for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

SIDE = 32
WIDE = 48


class BoardNetwork(nn.Module):
    """Convolutions 3x3, depthwise and 1x1, a residual, pooling, a linear layer, softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Sequential(nn.Conv2d(3, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(24, 24, 3, 1, 1, groups=24), nn.Hardswish())
        self.expand = nn.Conv2d(24, WIDE, 1)
        self.residual = nn.Conv2d(WIDE, WIDE, 3, 1, 1)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(WIDE, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.expand(self.depthwise(self.entry(image)))
        x = self.pool(x + torch.relu(self.residual(x)))
        return torch.softmax(4 * self.head(x.mean((2, 3))), 1)


def network() -> nn.Module:
    """It, with weights of a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return BoardNetwork().eval()


def images(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """``count`` images of a fixed seed, float32 [count, 1, 3, SIDE, SIDE]."""
    random = np.random.default_rng(0)
    return random.normal(size=(count, 1, 3, SIDE, SIDE)).astype(np.float32)
