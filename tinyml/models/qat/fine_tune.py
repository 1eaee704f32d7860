"""Train a finished network on with eight bits in its forward pass: one more stage of a run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from tinyml.core.spec import Array
from tinyml.models.prune.hooks import Masked
from tinyml.models.training.fit import Hook
from tinyml.models.training.learner import Learner

STAGE = "quantized"


def fine_tune(learner: Learner, parent: Mapping[str, Array], front_end: str | None) -> Any:
    """The network with ``parent``'s weights, trained on; zeros of pruning stay zeros.

    What comes back computes in float32 again: only its weights have changed, so that
    rounding them and the activations costs less. ``front_end``: see `FakeQuantized`.
    """
    with _quiet():
        from tinyml.models.qat.fake_quantized import FakeQuantized

        network = learner.initial("")
        network.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in parent.items()})
        inputs, _ = next(iter(learner.batches.epoch()))
        twin = FakeQuantized(network, inputs, front_end)
    learner.fit(twin, STAGE, _keeping_zeros(network))
    return network.eval()


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
