"""Which values of a program hang on a choice between nearly equal numbers.

The places that topk, sort and argmax choose are not continuous: where two numbers differ by less
than an engine may round, the engine may choose the other one, and is right. Each choice is made
again from numbers that are moved by what an engine may differ by, once in one direction and once
in the other, which turns every such pair around once. Whatever then changes hangs on near ties.
The chosen values are those at the chosen places, not moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tinyml.core.spec import Arrays
from tinyml.core.tolerance import POLICIES, largest_error
from tinyml.export.capture.program import Captured
from tinyml.export.capture.stage_values import Recorder, captured_values

_aten = torch.ops.aten
# operator -> at which of its arguments the axis stands
_CHOICES = {
    _aten.topk.default: 2,
    _aten.kthvalue.default: 2,
    _aten.sort.default: 1,
    _aten.sort.stable: 9,  # by its name alone
    _aten.argsort.default: 1,
    _aten.argsort.stable: 9,
    _aten.argmax.default: 1,
    _aten.argmin.default: 1,
    _aten.max.dim: 1,
    _aten.min.dim: 1,
    _aten.median.dim: 1,
}
SEEDS = (0, 1)
# A value that changes by more than this share of what an engine may differ by hangs on a choice.
SHARE = 0.25


def undecided(captured: Captured, inputs: Arrays) -> tuple[set[str], set[str]]:
    """(stages, outputs) of ``captured`` that hang on near ties for these ``inputs``."""
    stages: set[str] = set()
    outputs: set[str] = set()
    if not any(node.target in _CHOICES for node in captured.program.graph.nodes):
        return stages, outputs
    inside, returned = captured_values(captured, inputs)
    for seed in SEEDS:
        for sign in (1.0, -1.0):
            moved = captured_values(captured, inputs, _moving(seed, sign))
            stages |= _changed(inside, moved[0])
            outputs |= _changed(returned, moved[1])
    return stages, outputs


def _changed(want: Any, got: Any) -> set[str]:
    return {
        name
        for name, value in want.items()
        if value is not None
        and largest_error(got[name], value) > SHARE * POLICIES["engine"].bound(value)
    }


def _moving(seed: int, sign: float) -> type[Recorder]:
    """Runs a graph, and chooses from moved numbers."""

    class Moving(Recorder):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.generator = np.random.default_rng(seed)

        def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
            if target not in _CHOICES or not args[0].is_floating_point():
                return super().call_function(target, args, kwargs)
            x = args[0]
            # equal zeros are exact in every engine, but their order is not PyTorch's to promise
            bound = POLICIES["engine"].bound(x.numpy()) or 1.0
            noise = torch.from_numpy(self.generator.uniform(-bound, bound, x.shape)).to(x.dtype)
            made = super().call_function(target, (x + sign * noise, *args[1:]), kwargs)
            if isinstance(made, Tensor):
                return made
            axis = _axis(target, args, kwargs)
            return _values_at(x, made[1], axis), made[1]

    return Moving


def _axis(target: Any, args: Any, kwargs: Any) -> int:
    at = _CHOICES[target]
    return int(args[at] if len(args) > at else kwargs.get("dim", -1))


def _values_at(x: Tensor, places: Tensor, axis: int) -> Tensor:
    if places.ndim == x.ndim:
        return x.gather(axis, places)
    return x.gather(axis, places.unsqueeze(axis)).squeeze(axis)
