"""Train one part, dense or pruned, as its recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyml.models.prune.prune import Plan, plan, prune
from tinyml.models.training.learner import Learner
from tinyml.recipe import Recipe
from tinyml.spec import Array, ModelEntry


def plan_pruning(entry: ModelEntry, recipe: Recipe, classes: int) -> Plan | None:
    """What ``recipe`` prunes of ``entry``'s model, checked; ``None`` for a dense training."""
    if not recipe.prune.method:
        return None
    return plan(entry.build(classes), recipe.prune, entry.sparsity)


def learn(learner: Learner, chosen: Plan | None, parent: Mapping[str, Array] | None = None) -> Any:
    """The trained module; ``parent`` are the dense weights that pruning begins with."""
    if chosen is not None:
        return prune(learner, chosen, parent)
    module = learner.initial("")
    learner.fit(module)
    return module
