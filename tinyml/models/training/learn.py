"""Train one part, dense or pruned, as its recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyml.models.prune.prune import plan, prune
from tinyml.models.training.learner import Learner
from tinyml.spec import Array, ModelEntry


def learn(learner: Learner, entry: ModelEntry, parent: Mapping[str, Array] | None = None) -> Any:
    """The trained module; ``parent`` are the dense weights that pruning begins with."""
    if not learner.recipe.prune.method:
        module = learner.initial("")
        learner.fit(module)
        return module
    chosen = plan(learner.initial(""), learner.recipe.prune, entry.sparsity)
    return prune(learner, chosen, parent)
