"""Train one part, dense, pruned or quantization-aware, as its recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyml.core.recipe import Recipe
from tinyml.core.spec import Array, ModelEntry
from tinyml.models.prune.prune import Plan, plan, prune
from tinyml.models.qat.fine_tune import fine_tune
from tinyml.models.training.learner import Learner


def plan_pruning(entry: ModelEntry, recipe: Recipe, classes: int) -> Plan | None:
    """What ``recipe`` prunes of ``entry``'s model, checked; ``None`` for a dense training."""
    if not recipe.prune.method:
        return None
    return plan(entry.build(classes), recipe.prune, entry.sparsity)


def learn(
    learner: Learner,
    chosen: Plan | None,
    parent: Mapping[str, Array] | None = None,
    front_end: str | None = None,
) -> Any:
    """The trained module; ``parent`` are the weights that pruning or rounding begins with.

    ``front_end``: the last submodule that stays in float32 when the others are rounded.
    """
    if chosen is not None:
        return prune(learner, chosen, parent)
    if learner.recipe.quantization_aware and parent is not None:
        return fine_tune(learner, parent, front_end)
    module = learner.initial("")
    learner.fit(module)
    return module
