"""A small network with everything that has gone wrong in exporters, and its signature."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinyml.core.spec import Array, Signature, StatePair, TensorSpec

SAMPLES = 64
CHANNELS = 6
STAGES = ("bank", "scalogram", "first", "second", "second#2", "lookup", "logits")
SIGNATURE = Signature(
    inputs=(
        TensorSpec("waveform", (1, SAMPLES)),
        TensorSpec("position", (1,), dtype="int64"),
        TensorSpec("memory", (1, CHANNELS)),
    ),
    outputs=(TensorSpec("probabilities", (1, 3)), TensorSpec("memory_out", (1, CHANNELS))),
    states=(StatePair("memory", "memory_out"),),
)


class Bank(nn.Module):
    """A low-pass behind an even padding, strided filters behind a lopsided one, squared."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low_pass", torch.randn(1, 1, 1, 7) * 0.3)
        self.register_buffer("taps", torch.randn(CHANNELS, 1, 1, 9) * 0.3)

    def forward(self, waveform: Tensor) -> Tensor:
        smooth = F.conv2d(F.pad(waveform[:, None, None, :], (3, 3)), self.low_pass)
        padded = F.pad(smooth, (5, 2))
        return F.conv2d(padded, self.taps, stride=(1, 2)).square()


class Scalogram(nn.Module):
    """Logarithm of power: its epsilon decides what silence is."""

    def forward(self, power: Tensor) -> Tensor:
        return torch.log10(power + 1e-10)


class Block(nn.Module):
    """Lopsided padding, convolution, normalisation, ReLU, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, (1, 3), bias=False)
        self.norm = nn.BatchNorm2d(CHANNELS)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(F.relu(self.norm(self.conv(F.pad(x, (2, 0))))))


class Network(nn.Module):
    """Three inputs (one of integers), a state pair, a block that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = Bank()
        self.scalogram = Scalogram()
        self.first = Block()
        self.second = Block()
        self.lookup = nn.Embedding(2, CHANNELS)
        self.logits = nn.Linear(CHANNELS, 3)

    def forward(self, waveform: Tensor, position: Tensor, memory: Tensor) -> dict[str, Tensor]:
        x = self.first(self.scalogram(self.bank(waveform)))
        x = self.second(self.second(x)).mean(dim=(2, 3))
        mixed = torch.tanh(x + 0.5 * memory + self.lookup(position))
        return {
            "probabilities": torch.softmax(self.logits(mixed), dim=-1),
            "memory_out": mixed,
        }


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """``module`` in eval mode, the statistics of its normalisations not the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2.0, generator=generator)
            if part.affine:
                part.weight.data.uniform_(0.5, 2.0, generator=generator)
                part.bias.data.normal_(generator=generator)
    return module.eval()


def network(seed: int = 0) -> nn.Module:
    """The seeded `Network`."""
    torch.manual_seed(seed)
    return randomised(Network(), seed)


def noise(*shape: int, seed: int = 0) -> Array:
    """Seeded float32 noise."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
