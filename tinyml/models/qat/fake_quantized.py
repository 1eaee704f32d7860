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
from torch.fx import GraphModule
from torchao.quantization.pt2e import disable_observer, enable_observer
from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

from tinyml.models.qat.quantizer import NetworkQuantizer

# What torch 2.13 and torchao 0.18 warn about each other.
_NOISE = r"`isinstance\(treespec, LeafSpec\)`"
_aten = torch.ops.aten
# Where an operator of a graph says that it trains.
_TRAINS = {_aten.batch_norm.default: 5, _aten.dropout.default: 2, _aten.dropout_.default: 2}


class FakeQuantized(nn.Module):
    """``classify`` as of ``network``, in eight bits; in eval mode its ranges stand still.

    ``inputs``: a batch of what ``network.classify`` takes. ``front_end`` names the submodule
    up to which nothing is rounded.
    """

    def __init__(self, network: Any, inputs: Tensor, front_end: str | None = None) -> None:
        super().__init__()
        free = ({0: torch.export.Dim("batch")},)
        two = torch.cat([inputs[:1]] * 2)  # a batch of one would be taken for a constant
        was_training = network.training
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _NOISE, FutureWarning)
            program = torch.export.export(_Classify(network).train(), (two,), dynamic_shapes=free)
            self.graph: Any = prepare_qat_pt2e(program.module(), NetworkQuantizer(front_end))
        network.train(was_training)
        _restore_norms(self.graph, network)

    def classify(self, inputs: Tensor) -> Tensor:
        """Inputs -> logits [B, classes]."""
        logits: Tensor = self.graph(inputs)
        return logits

    def train(self, mode: bool = True) -> Self:
        """Change the graph's mode, which is written into its operators.

        torchao's move_exported_model_to_eval and _train would make every dropout one of 0.5.
        """
        self.training = mode
        for node in self.graph.graph.nodes:
            if node.target in _TRAINS:
                node.update_arg(_TRAINS[node.target], mode)
        self.graph.recompile()
        self.graph.apply(enable_observer if mode else disable_observer)
        return self


def _restore_norms(graph: GraphModule, network: Any) -> None:
    """Give batch normalizations their own momentum and epsilon back.

    torchao 0.18 puts PyTorch's defaults where it joins one with a convolution.
    """
    for node in graph.graph.nodes:
        if node.op != "get_attr" or not str(node.target).endswith(".running_var"):
            continue
        owner = str(node.target).removeprefix("network.").rpartition(".")[0]
        norm = network.get_submodule(owner)
        for user in node.users:
            if user.target is _aten.batch_norm.default:
                user.update_arg(6, norm.momentum)
                user.update_arg(7, norm.eps)
            elif user.target is _aten.add.Tensor:
                user.update_arg(1, norm.eps)
    graph.recompile()


class _Classify(nn.Module):
    """torch.export captures a module's ``forward``."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.network.classify(inputs)
        return logits
