"""A network whose every layer computes with rounded numbers while it trains.

Quantization-aware training by torchao's PT2E (Jacob et al. 2017, arXiv 1712.05877):
weights and activations are rounded to eight bits and back in the forward pass, gradients
pass as if they were not. The parameters are the network's own, so training this trains it.
"""

from __future__ import annotations

import warnings
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchao.quantization.pt2e import (
    disable_observer,
    enable_observer,
    move_exported_model_to_eval,
    move_exported_model_to_train,
)
from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

from tinyml.models.qat.quantizer import NetworkQuantizer

# What torch 2.13 and torchao 0.18 warn about each other.
_NOISE = r"`isinstance\(treespec, LeafSpec\)`"


class FakeQuantized(nn.Module):
    """``classify`` as of ``network``, in eight bits; in eval mode its ranges stand still.

    ``inputs``: a batch of what ``network.classify`` takes. ``front_end`` names the submodule
    up to which nothing is rounded.
    """

    def __init__(self, network: Any, inputs: Tensor, front_end: str | None = None) -> None:
        super().__init__()
        free = ({0: torch.export.Dim("batch")},)
        two = torch.cat([inputs[:1]] * 2)  # a batch of one would be taken for a constant
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _NOISE, FutureWarning)
            program = torch.export.export(_Classify(network).train(), (two,), dynamic_shapes=free)
            self.graph: Any = prepare_qat_pt2e(program.module(), NetworkQuantizer(front_end))

    def classify(self, inputs: Tensor) -> Tensor:
        """Inputs -> logits [B, classes]."""
        logits: Tensor = self.graph(inputs)
        return logits

    def train(self, mode: bool = True) -> Self:
        """An exported graph changes its mode by functions of its own."""
        self.training = mode
        (move_exported_model_to_train if mode else move_exported_model_to_eval)(self.graph)
        self.graph.apply(enable_observer if mode else disable_observer)
        return self


class _Classify(nn.Module):
    """torch.export captures a module's ``forward``."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.network.classify(inputs)
        return logits
