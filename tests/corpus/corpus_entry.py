"""What the corpus says of a network, and weights with teeth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tinyml.core.spec import Array, Signature, StatePair, TensorSpec

SEED = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A network, as its user would bring it.

    build    makes the module; its weights come from the global generator
    inputs   input -> shape for float32 noise, or (shape, number of ids) for integers
    outputs  names, in the order in which the module returns them
    states   (input, output) pairs of recurrent state
    note     what a reader of the table should know
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Mapping[str, tuple[int, ...] | tuple[tuple[int, ...], int]]
    outputs: tuple[str, ...] = ("output",)
    states: tuple[tuple[str, str], ...] = ()
    note: str = ""

    def module(self) -> nn.Module:
        """Seeded, in eval mode, nothing in it as it was initialised."""
        torch.manual_seed(SEED)
        return randomised(self.build())

    def sample(self) -> dict[str, Array]:
        """One seeded sample."""
        generator = np.random.default_rng(SEED)
        return {name: _fill(given, generator) for name, given in self.inputs.items()}

    def signature(self, module: nn.Module) -> Signature:
        """Names from this entry, shapes and types from a run of ``module``."""
        sample = self.sample()
        with torch.no_grad():
            returned = module(**{name: torch.from_numpy(a) for name, a in sample.items()})
        if isinstance(returned, Mapping):
            values = [returned[name] for name in self.outputs]
        else:
            values = list(returned) if isinstance(returned, tuple) else [returned]
        answers = {n: v.numpy() for n, v in zip(self.outputs, values, strict=True)}
        return Signature(
            tuple(TensorSpec(n, a.shape, dtype=str(a.dtype)) for n, a in sample.items()),
            tuple(TensorSpec(n, a.shape, dtype=str(a.dtype)) for n, a in answers.items()),
            tuple(StatePair(*pair) for pair in self.states),
        )


def _fill(
    given: tuple[int, ...] | tuple[tuple[int, ...], int], generator: np.random.Generator
) -> Array:
    if given and isinstance(given[0], tuple):
        shape, ids = given
        return generator.integers(0, ids, shape, dtype=np.int64)
    return generator.standard_normal(given).astype(np.float32)


def randomised(module: nn.Module) -> nn.Module:
    """``module`` in eval mode; statistics and whatever was constant get seeded noise.

    What is constant after initialisation (scales of 1, shifts and biases of 0, layer
    scales of 1e-6) hides a converter's mistake.
    """
    for part in module.modules():
        if isinstance(part, _BatchNorm) and part.running_mean is not None:
            part.running_mean.normal_(0.0, 0.5)
            part.running_var.uniform_(0.5, 2.0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() > 1 and parameter.min() == parameter.max():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return module.eval()
