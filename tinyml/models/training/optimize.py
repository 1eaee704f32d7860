"""Optimizers and learning rates by name: what [train] of a recipe may choose."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch.nn import Parameter

from tinyml.core.errors import RecipeError
from tinyml.core.recipe import TrainRecipe
from tinyml.core.registry import unknown_name

Make = Callable[[Iterable[Parameter], TrainRecipe], torch.optim.Optimizer]

WARM_UP = 0.3
START_DIVISOR = 25.0
END_DIVISOR = 1e5


def _adam(parameters: Iterable[Parameter], recipe: TrainRecipe) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, weight_decay=recipe.weight_decay, fused=True)


def _adamw(parameters: Iterable[Parameter], recipe: TrainRecipe) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, weight_decay=recipe.weight_decay, fused=True)


def _sgd(parameters: Iterable[Parameter], recipe: TrainRecipe) -> torch.optim.Optimizer:
    """Nesterov momentum 0.9."""
    return torch.optim.SGD(
        parameters, lr=0.1, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )


def _rmsprop(parameters: Iterable[Parameter], recipe: TrainRecipe) -> torch.optim.Optimizer:
    """As EfficientNet and TinyNet train (Han et al. 2020, arXiv 2010.14819).

    Their epsilon of 1e-3 is added inside the root, as TensorFlow does: no gradient is divided by
    less than 0.032. PyTorch adds its own outside, so that the root of it does the same.
    """
    return torch.optim.RMSprop(
        parameters, alpha=0.9, eps=1e-3**0.5, momentum=0.9, weight_decay=recipe.weight_decay
    )


OPTIMIZERS: dict[str, Make] = {"adam": _adam, "adamw": _adamw, "rmsprop": _rmsprop, "sgd": _sgd}


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


def _cosine(epoch: float, recipe: TrainRecipe) -> float:
    """To zero by half a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983)."""
    return _between(1.0, 0.0, epoch / recipe.epochs)


def _exponential(epoch: float, _recipe: TrainRecipe) -> float:
    """Times 0.97 every 2.4 epochs (Han et al. 2020, arXiv 2010.14819)."""
    return float(0.97 ** math.floor(epoch / 2.4))


def _steps(epoch: float, recipe: TrainRecipe) -> float:
    """A tenth at half of the epochs, a hundredth at three quarters (He et al. 2016, CIFAR)."""
    done = epoch / recipe.epochs
    return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01


def _constant(_epoch: float, _recipe: TrainRecipe) -> float:
    """The peak throughout."""
    return 1.0


DECAYS: dict[str, Callable[[float, TrainRecipe], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "exponential": _exponential,
    "steps": _steps,
}
SCHEDULES = ("one-cycle", *DECAYS)


def make_optimizer(parameters: Iterable[Parameter], recipe: TrainRecipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; its learning rate is set before every step."""
    return OPTIMIZERS[recipe.optimizer](parameters, recipe)


def learning_rate(step: int, steps_per_epoch: int, recipe: TrainRecipe) -> float:
    """Learning rate of ``step``, counted from 0, under the recipe's schedule and warm-up."""
    if recipe.schedule == "one-cycle":
        return one_cycle(step, recipe.epochs * steps_per_epoch, recipe.learning_rate)
    warm_up = recipe.warm_up_epochs * steps_per_epoch
    if step < warm_up:
        return recipe.learning_rate * (step + 1) / warm_up
    return recipe.learning_rate * DECAYS[recipe.schedule](step / steps_per_epoch, recipe)


def check_train(recipe: TrainRecipe, labels: int) -> None:
    """Raise `RecipeError` or `UsageError` for values of [train] that cannot be used."""
    if recipe.optimizer not in OPTIMIZERS:
        raise unknown_name("optimizer", recipe.optimizer, OPTIMIZERS)
    if recipe.schedule not in SCHEDULES:
        raise unknown_name("schedule", recipe.schedule, SCHEDULES)
    weights = recipe.class_weights
    if weights and (len(weights) != labels or min(weights) <= 0):
        raise RecipeError(
            f"[train] class_weights {list(weights)}: one positive number for each "
            f"of {labels} labels"
        )
    for name in ("epochs", "batch_size", "learning_rate", "distill_temperature"):
        if getattr(recipe, name) <= 0:
            raise RecipeError(f"{name} is {getattr(recipe, name):g}: it must be positive")
    for name in ("weight_decay", "warm_up_epochs", "shift"):
        if getattr(recipe, name) < 0:
            raise RecipeError(f"{name} is {getattr(recipe, name):g}: it must not be negative")
    for name in ("label_smoothing", "ema", "distill_weight"):
        if not 0 <= getattr(recipe, name) < 1:
            raise RecipeError(f"{name} is {getattr(recipe, name):g}: at least 0 and below 1")
