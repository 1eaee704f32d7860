"""What the convolutional networks here share: convolution with its norm, head, initial values.

The global average is ``adaptive_avg_pool2d(x, 1)``: a mean over two axes becomes a
TRANSPOSE in TFLite, before which XNNPACK's sparse path does not run.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

Activation = Callable[[], nn.Module]


class ConvNorm(nn.Module):
    """Convolution padded by half its kernel, batch normalization, activation if there is one.

    [B, inputs, rows, columns] -> [B, outputs, ceil(rows / stride), ceil(columns / stride)].
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None = nn.ReLU,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = activation() if activation else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        maps: Tensor = self.activation(self.norm(self.conv(image)))
        return maps


class PoolHead(nn.Module):
    """[B, channels, rows, columns] -> logits [B, classes] of the global average."""

    def __init__(self, channels: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, classes)

    def forward(self, maps: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(maps, 1).flatten(1)
        logits: Tensor = self.linear(self.dropout(pooled))
        return logits


def initialize(module: nn.Module) -> None:
    """He et al. (1502.01852) by fan-out for convolutions, N(0, 0.01^2) for linear layers."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.weight[0, 0].numel() * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, 0.0, (2.0 / fan_out) ** 0.5)
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.01)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
