"""What will be pruned, decided and checked before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinyml.core.errors import RecipeError
from tinyml.core.recipe import PruneRecipe
from tinyml.models.protocol import LayerSparsity
from tinyml.models.pruning.layers import PrunedLayers, choose_layers
from tinyml.models.pruning.method import PruningMethod

CONTROLS = ("none", "reinit", "random-mask")


@dataclass(frozen=True, slots=True)
class PruningPlan:
    """A method, its settings, and the layers that it prunes."""

    method: PruningMethod
    settings: PruneRecipe
    layers: PrunedLayers

    @property
    def rounds(self) -> tuple[float, ...]:
        """Share of the final sparsity that each training begins with."""
        return self.method.rounds(self.settings)


def plan_pruning(
    module: Any,
    settings: PruneRecipe,
    method: PruningMethod,
    preset: tuple[LayerSparsity, ...] = (),
) -> PruningPlan:
    """Check ``settings`` against ``module``; raises `RecipeError`, `InputError`.

    Reads the module's layers, not its weights. ``preset``: see `choose_layers`.
    """
    _check(settings)
    exponent = method.last_exponent(settings)
    layers = choose_layers(module, settings, method.layers, preset, exponent)
    return PruningPlan(method, settings, layers)


def check_run(plan: PruningPlan, steps: int, *, from_parent: bool) -> None:
    """Raise `RecipeError` for what a training of ``steps`` optimizer steps lacks."""
    if plan.settings.rewind_step >= steps:
        raise RecipeError(
            f"rewind_step {plan.settings.rewind_step} is not within a training of {steps} steps"
        )
    if plan.settings.control != "none" and not from_parent:
        raise RecipeError(
            f"control '{plan.settings.control}' needs a lottery ticket whose masks it takes",
            hint="tinyml prune TICKET --method lottery --control reinit",
        )


def _check(settings: PruneRecipe) -> None:
    if settings.control not in CONTROLS:
        raise RecipeError(f"[prune] control '{settings.control}' is none of {', '.join(CONTROLS)}")
    if settings.control != "none" and settings.method != "lottery":
        raise RecipeError(f"[prune] control '{settings.control}' is for the lottery method")
    if settings.method == "lottery" and not settings.sparsity:
        raise RecipeError("[prune] sparsity is missing: a lottery's rounds follow from it")
    if not 0 < settings.rate < 1:
        raise RecipeError(f"[prune] rate is {settings.rate:g}: above 0 and below 1")
    if not 0 <= settings.begin < settings.end <= 1:
        raise RecipeError(
            f"[prune] begin {settings.begin:g} and end {settings.end:g}: "
            "shares of the training steps, begin before end"
        )
    if not 0 <= settings.initial < 1 or 0 < settings.sparsity < settings.initial:
        raise RecipeError(f"[prune] initial is {settings.initial:g}: at least 0 and below sparsity")
    if settings.every < 1 or settings.rewind_step < 0:
        raise RecipeError("[prune] every is at least 1, rewind_step at least 0")
