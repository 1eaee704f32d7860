"""Zeros that are differences of equal numbers: an engine that rounds otherwise has noise there.

A bound is a share of the largest value, so nothing is allowed next to a value that is zero
everywhere. That is right for sums of zeros, which no engine rounds. The variance of equal numbers
is zero only where their mean is exactly one of them. The program is run again with one rounding
more, of half a step at most, on every input and behind every operation: sums of zeros stay zero.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from tinyml.core.spec import Array, Arrays
from tinyml.export.capture.functional import returns_view
from tinyml.export.capture.program import Captured
from tinyml.export.capture.stage_values import Recorder, captured_values

SEED = 0
# One step of float32 behind 1.
STEP = float(np.finfo(np.float32).eps)


def cancelled_zeros(
    captured: Captured, inputs: Arrays, stages: Arrays, outputs: Arrays
) -> tuple[set[str], set[str]]:
    """Of ``stages`` and ``outputs``, PyTorch's values for ``inputs``, those that cancelled."""
    silent = [_silent(stages), _silent(outputs)]
    if not any(silent):
        return set(), set()
    generator = np.random.default_rng(SEED)
    moved = {name: _moved(torch.from_numpy(x), generator).numpy() for name, x in inputs.items()}
    inside, returned = captured_values(captured, moved, _Rounded)
    return _still(silent[0], inside), _still(silent[1], returned)


def _silent(values: Arrays) -> set[str]:
    return {name for name, value in values.items() if value.size and not np.any(value)}


def _still(silent: Collection[str], values: dict[str, Any]) -> set[str]:
    return {name for name in silent if values[name] is not None and np.any(values[name])}


def _moved(value: Tensor, generator: np.random.Generator) -> Tensor:
    """``value`` times numbers within one step of 1; integers as they are."""
    if not value.is_floating_point():
        return value
    noise: Array = generator.uniform(-STEP, STEP, tuple(value.shape))
    return value * (1 + torch.from_numpy(np.asarray(noise))).to(value.dtype)


class _Rounded(Recorder):
    """Runs a graph with one rounding more behind every operation.

    Not behind views: what is written into one is seen by the others.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.generator = np.random.default_rng(SEED)

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n.op != "call_function" or returns_view(n) or not isinstance(value, Tensor):
            return value
        moved = _moved(value, self.generator)
        if n.name in self.seen:
            self.seen[n.name] = moved.detach().numpy().copy()
        return moved
