"""The exponential moving average of a module's weights and statistics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tinyml.models.protocol import Module


class Average:
    """``average = decay * average + (1 - decay) * value`` after every step.

    Early on the decay is (1 + steps) / (10 + steps), so that the first, random weights are
    forgotten. Counters (integers) are copied.
    """

    def __init__(self, module: Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.values = {name: value.clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: Module) -> None:
        """Take one step's weights in."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

    def copy_to(self, module: Module) -> None:
        """Give the module the average for good."""
        module.load_state_dict(self.values)

    @contextlib.contextmanager
    def in_place_of(self, module: Module) -> Iterator[None]:
        """The module computes with the average until the block ends."""
        current = {name: value.clone() for name, value in module.state_dict().items()}
        self.copy_to(module)
        try:
            yield
        finally:
            module.load_state_dict(current)

    def tensors(self) -> dict[str, Tensor]:
        """What `load` needs."""
        return {**self.values, "steps": torch.tensor(self.steps)}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue where `tensors` was taken."""
        self.steps = int(tensors["steps"])
        self.values = {name: value for name, value in tensors.items() if name != "steps"}
