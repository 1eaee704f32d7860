"""Quantization-aware fine-tuning: train a finished network on with fake-quantized int8 values."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tinyml.core.checkpoint import Checkpoint
from tinyml.core.spec import Array
from tinyml.core.training_record import PruningRecord
from tinyml.models.pruning.hooks import Masked
from tinyml.models.training.hook import Hook
from tinyml.models.training.learner import Learner

STAGE = "quantized"


Weights = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class FineTuning:
    """Quantization-aware fine-tuning of a trained network: a `Procedure`.

    ``front_end``: the last submodule that stays in float32, see `FakeQuantized`.
    """

    front_end: str | None

    def check(self, steps: int, *, from_parent: bool) -> None:
        """Nothing is needed but a parent."""

    def train(self, learner: Learner, parent: Weights | None = None) -> Any:
        """The network with ``parent``'s weights, trained on; zeros of pruning stay zeros.

        The network that is returned computes in float32 again: only its weights have changed,
        so that rounding them and the activations costs less.
        """
        if parent is None:
            raise ValueError("quantization-aware fine-tuning begins with trained weights")
        with _quiet():
            from tinyml.models.qat.fake_quantized import FakeQuantized

            network = learner.initial("")
            network.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in parent.items()})
            inputs, _ = next(iter(learner.batches.epoch()))
            quantized = FakeQuantized(network, inputs, self.front_end)
        learner.fit(quantized, STAGE, _keeping_zeros(network))
        return network.eval()

    def pruned(self, module: Any, parent: Checkpoint | None) -> PruningRecord | None:
        """Those of ``parent``: its zeros are kept."""
        return parent.trained.pruning if parent else None


def _keeping_zeros(network: Any) -> Hook:
    """A weight that is exactly zero was pruned (docs/adr/0005)."""
    masks = {n: p.detach() != 0 for n, p in network.named_parameters() if p.dim() > 1}
    masks = {name: kept for name, kept in masks.items() if not kept.all()}
    return Masked(network, masks) if masks else Hook()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """torchao logs that it finds no CUDA kernels of its own, torch that torchao is old."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
