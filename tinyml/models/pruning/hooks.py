"""What pruning does around an optimizer step. Between steps the module's weights are masked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tinyml.core.spec import Array
from tinyml.models.pruning.layers import PrunedLayers
from tinyml.models.pruning.mask import Masks, apply, sparsity
from tinyml.models.training.hook import Hook


class Masked(Hook):
    """The masks stay as they are: masked weights are zero and get no gradient."""

    def __init__(self, module: Any, masks: Masks) -> None:
        self.weights = _parameters(module, masks)
        self.masks = masks
        apply(masks, self.weights)

    def before_update(self) -> None:
        apply(self.masks, {name: _gradient(weight) for name, weight in self.weights.items()})

    def after_update(self, step: int) -> None:
        apply(self.masks, self.weights)

    def mask(self) -> None:
        apply(self.masks, self.weights)

    def row(self) -> dict[str, float]:
        return {"sparsity": sparsity(self.masks)}


class Scheduled(Hook):
    """The masks grow by a schedule, and masked weights train on behind them.

    The module computes with masked weights; their gradient reaches the whole ones, which
    this hook holds, so that a weight that grows may come back at the next mask. The first
    mask at the end of the schedule is the last: what is left trains undisturbed.
    """

    def __init__(
        self,
        module: Any,
        layers: PrunedLayers,
        score: Callable[[Tensor], Tensor],
        done: Callable[[int], float],
        every: int,
        steps: int,
    ) -> None:
        names = [layer.weight for layer in layers.layers]
        self.weights = _parameters(module, names)
        self.whole = {name: weight.detach().clone() for name, weight in self.weights.items()}
        # Zeros that are there already stay until the first mask.
        self.masks: Masks = {name: weight != 0 for name, weight in self.whole.items()}
        self.layers, self.score, self.done = layers, score, done
        self.every, self.steps, self.settled = every, steps, False

    def before_update(self) -> None:
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(self.whole[name])

    def after_update(self, step: int) -> None:
        self.whole = {name: weight.detach().clone() for name, weight in self.weights.items()}
        if not self.settled and (step % self.every == 0 or step == self.steps):
            scores = {name: self.score(weight) for name, weight in self.whole.items()}
            self.masks = self.layers.masks(scores, self.done(step))
            self.settled = self.done(step) >= 1.0
        apply(self.masks, self.weights)

    def mask(self) -> None:
        apply(self.masks, self.weights)

    def row(self) -> dict[str, float]:
        return {"sparsity": sparsity(self.masks)}

    def tensors(self) -> dict[str, Array]:
        whole = {f"whole/{name}": weight.numpy() for name, weight in self.whole.items()}
        masks = {f"mask/{name}": mask.numpy().astype(np.uint8) for name, mask in self.masks.items()}
        settled = {"settled": np.array(self.settled, np.uint8)}
        return {name: value.copy() for name, value in {**whole, **masks, **settled}.items()}

    def restore(self, tensors: Mapping[str, Array]) -> None:
        for name in self.whole:
            self.whole[name] = torch.from_numpy(tensors[f"whole/{name}"].copy())
            self.masks[name] = torch.from_numpy(tensors[f"mask/{name}"].astype(bool))
        self.settled = bool(tensors["settled"])


class Snapshot(Hook):
    """Keeps the module's whole state as it is after ``step`` updates.

    With ``alone`` nothing else is wanted of the fit, and it ends there.
    """

    def __init__(self, module: Any, step: int, *, alone: bool = False) -> None:
        self.module, self.step, self.alone = module, step, alone
        self.state: dict[str, Array] = {}

    def after_update(self, step: int) -> None:
        if step == self.step:
            self.state = {n: v.detach().numpy().copy() for n, v in self.module.state_dict().items()}

    @property
    def finished(self) -> bool:
        return self.alone and bool(self.state)

    def tensors(self) -> dict[str, Array]:
        return dict(self.state)

    def restore(self, tensors: Mapping[str, Array]) -> None:
        self.state = dict(tensors)


def _parameters(module: Any, names: Any) -> dict[str, Tensor]:
    parameters = dict(module.named_parameters())
    return {name: parameters[name] for name in names}


def _gradient(weight: Tensor) -> Tensor:
    if weight.grad is None:
        raise RuntimeError("a pruned weight takes no part in the loss")
    return weight.grad
