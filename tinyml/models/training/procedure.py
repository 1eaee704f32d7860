"""How the weights of one part of a run are found: densely here, otherwise by who calls.

Training knows no method of pruning or quantization-aware training. Each of them is a
`Procedure` that fits the part's module as often as it needs, with its own `Hook`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tinyml.core.checkpoint import Checkpoint
from tinyml.core.recipe import Recipe
from tinyml.core.spec import Array
from tinyml.core.training_record import PruningRecord
from tinyml.models.training.learner import Learner

Weights = Mapping[str, Array]


class Procedure(Protocol):
    """Trains one part of a run, resumable after every epoch."""

    def check(self, steps: int, *, from_parent: bool) -> None:
        """Raise `RecipeError` for what a training of ``steps`` optimizer steps lacks.

        ``from_parent``: whether it begins with trained weights.
        """

    def train(self, learner: Learner, parent: Weights | None = None) -> Any:
        """The trained module; ``parent`` are the trained weights that it begins with."""

    def pruned(self, module: Any, parent: Checkpoint | None) -> PruningRecord | None:
        """What a checkpoint records of the zeros in the trained ``module``."""


class Dense:
    """Trains every weight from the part's initial state."""

    def check(self, steps: int, *, from_parent: bool) -> None:
        """Nothing is needed."""

    def train(self, learner: Learner, parent: Weights | None = None) -> Any:
        module = learner.initial("")
        learner.fit(module)
        return module

    def pruned(self, module: Any, parent: Checkpoint | None) -> PruningRecord | None:
        return None


def procedure_of(recipe: Recipe, procedure: Procedure | None) -> Procedure:
    """``procedure``, or dense training if there is none.

    Raises `ValueError` where ``recipe`` asks for more than dense training.
    """
    if procedure is None and (recipe.prune.method or recipe.quantization_aware):
        raise ValueError(f"recipe '{recipe.name}' prunes or quantizes: give its procedure")
    return procedure or Dense()
