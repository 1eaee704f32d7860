"""One fit of one module: AdamW under a one-cycle schedule, the last epoch kept.

All that is random in an epoch is drawn from a generator seeded by the recipe's seed, the
part's name and the epoch's number; a run that stops between two epochs continues exactly.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tinyml.models.training.state import TrainState
from tinyml.recipe import TrainRecipe
from tinyml.spec import Array

WARM_UP = 0.3
START_DIVISOR = 25.0
END_DIVISOR = 1e5
EVALUATION_BATCH = 256


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Learning rate of ``step`` of ``steps``: up to ``peak``, then down to nearly nothing.

    Two half cosines (Smith & Topin 2017, arXiv 1708.07120; annealing as in fastai).
    """
    top = max(1.0, WARM_UP * steps - 1)
    if step <= top:
        return _between(peak / START_DIVISOR, peak, step / top)
    return _between(peak, peak / END_DIVISOR, (step - top) / max(1.0, steps - 1 - top))


def _between(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def seed_of(seed: int, *names: object) -> int:
    """A seed of its own for each thing that is random, 63 bits."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True, slots=True)
class Windows:
    """What a module learns from: features [n, ...] and labels [n] of all windows.

    ``training`` and ``validation`` index them; validation only draws the curve.
    """

    features: Tensor
    labels: Tensor
    training: Tensor
    validation: Tensor


def fit(
    module: Any,
    windows: Windows,
    recipe: TrainRecipe,
    seed: int,
    state: TrainState,
    save: Callable[[], None],
    report: Callable[[int, float], None],
) -> None:
    """Train ``module`` from where ``state`` is and leave it in eval mode.

    ``save`` writes ``state`` and is called after every epoch; ``report`` gets the number of
    finished epochs and the loss.
    """
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=recipe.weight_decay)
    criterion = nn.CrossEntropyLoss(weight=_class_weights(recipe))
    _restore(module, optimizer, state.tensors)
    for epoch in range(state.epoch, recipe.epochs):
        torch.manual_seed(seed_of(seed, state.part, epoch))
        row = {
            "epoch": epoch + 1,
            "loss": _epoch(module, optimizer, criterion, windows, recipe, epoch),
        }
        if len(windows.validation):
            row["validation_loss"] = _loss(module, criterion, windows)
        state.epoch = epoch + 1
        state.tensors = _tensors(module, optimizer)
        state.curves[state.part].append(row)
        save()
        report(epoch + 1, row["loss"])
    module.eval()


def _epoch(
    module: Any,
    optimizer: torch.optim.Optimizer,
    criterion: nn.Module,
    windows: Windows,
    recipe: TrainRecipe,
    epoch: int,
) -> float:
    """One pass over the training windows in random order; their mean loss."""
    module.train()
    order = windows.training[torch.randperm(len(windows.training))]
    batches = torch.split(order, recipe.batch_size)
    total = 0.0
    for number, batch in enumerate(batches):
        step = epoch * len(batches) + number
        for group in optimizer.param_groups:
            group["lr"] = one_cycle(step, recipe.epochs * len(batches), recipe.learning_rate)
        optimizer.zero_grad()
        loss = criterion(module.classify(windows.features[batch]), windows.labels[batch])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(order)


def classify(module: Any, features: Tensor, chosen: Tensor) -> Tensor:
    """Logits [n, classes] of the windows ``chosen``, in eval mode."""
    module.eval()
    with torch.no_grad():
        parts = [
            module.classify(features[batch]) for batch in torch.split(chosen, EVALUATION_BATCH)
        ]
    return torch.cat(parts)


def _loss(module: Any, criterion: nn.Module, windows: Windows) -> float:
    logits = classify(module, windows.features, windows.validation)
    return float(criterion(logits, windows.labels[windows.validation]))


def _class_weights(recipe: TrainRecipe) -> Tensor | None:
    return torch.tensor(recipe.class_weights) if recipe.class_weights else None


def _tensors(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Array]:
    kept = {f"weights/{name}": value for name, value in module.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        kept |= {f"optimizer/{index}/{key}": value for key, value in moments.items()}
    return {name: value.detach().numpy().copy() for name, value in kept.items()}


def _restore(
    module: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Array]
) -> None:
    """Put back what `_tensors` took; nothing when the part is at its beginning."""
    if not tensors:
        return
    weights: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "weights":
            weights[rest] = torch.from_numpy(value.copy())
        else:
            index, _, key = rest.partition("/")
            moments.setdefault(int(index), {})[key] = torch.from_numpy(value.copy())
    module.load_state_dict(weights)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
