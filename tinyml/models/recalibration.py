"""Recalibration of feature maps by gates: SE and scSE.

SE    "Squeeze-and-Excitation Networks", arXiv 1709.01507: each channel times a gate that
      sees the channels' averages.
scSE  "Concurrent Spatial and Channel Squeeze & Excitation", arXiv 1803.02579: SE (equation
      2, half the channels between) plus each pixel times a gate that sees its channels
      (equation 3). The two are added.

Any ConvNet here takes either, after each of its stages, as the option ``recalibration``.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinyml.models.architecture import one_of
from tinyml.models.conv_layers import Activation

NONE, SE, SCSE = "none", "se", "scse"
SE_REDUCTION, SCSE_REDUCTION = 16, 2


def recalibration_option() -> str:
    """The field of an architecture that chooses."""
    field: str = one_of(NONE, SE, SCSE)
    return field


class SqueezeExcite(nn.Module):
    """Maps [B, channels, rows, columns] times sigmoid(expand(act(reduce(average))))."""

    def __init__(self, channels: int, reduced: int, activation: Activation = nn.ReLU) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.activation = activation()
        self.expand = nn.Conv2d(reduced, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        average = F.adaptive_avg_pool2d(maps, 1)
        return maps * torch.sigmoid(self.expand(self.activation(self.reduce(average))))


class SpatialAndChannel(nn.Module):
    """scSE: maps times their channels' gates, plus maps times their pixels' gates."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channel = SqueezeExcite(channels, max(1, channels // SCSE_REDUCTION))
        self.pixel = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        recalibrated: Tensor = self.channel(maps) + maps * torch.sigmoid(self.pixel(maps))
        return recalibrated


def recalibrate(network: nn.Module, kind: str, stages: Iterable[str]) -> None:
    """Append the gates of ``kind`` to each of the named ``nn.Sequential``.

    They are its child ``recalibration``: the names of all other weights stay as they are.
    """
    if kind == NONE:
        return
    for name in stages:
        stage = network.get_submodule(name)
        stage.add_module("recalibration", _gates(kind, _channels(stage)))


def _gates(kind: str, channels: int) -> nn.Module:
    if kind == SE:
        return SqueezeExcite(channels, max(1, channels // SE_REDUCTION))
    return SpatialAndChannel(channels)


def _channels(stage: nn.Module) -> int:
    """Output channels of the last convolution: no stage here ends with a 1x1 shortcut."""
    convolutions = [
        layer
        for name, layer in stage.named_modules()
        if isinstance(layer, nn.Conv2d) and ".shortcut." not in name
    ]
    return convolutions[-1].out_channels
