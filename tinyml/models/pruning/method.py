"""What a pruning method is: what it scores, when, and how it treats the survivors.

A method is one file with one `PruningMethod` and a row in ``tinyml/core/registry.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from tinyml.core.recipe import PruneRecipe


@dataclass(frozen=True, slots=True)
class PruningMethod:
    """Declares one pruning method.

    score      a layer's weight -> how much each weight matters, same shape
    rounds     how much of the final sparsity each training begins with, 0 to 1, rising;
               a first round above 0 needs trained weights
    schedule   (recipe, step, steps) -> how much of it after ``step`` of ``steps``, for
               methods that prune while they train; masked weights then train on unseen
               and may return
    survivors  ``keep`` their trained values, or ``rewind`` to those of ``rewind_step``
    layers     those pruned unless the recipe names others
    last_rate  how fast the last layer is pruned, relative to the others
    """

    name: str
    paper: str
    summary: str
    score: Callable[[Tensor], Tensor]
    rounds: Callable[[PruneRecipe], tuple[float, ...]]
    survivors: Literal["keep", "rewind"] = "keep"
    schedule: Callable[[PruneRecipe, int, int], float] | None = None
    layers: str = "pointwise"
    last_rate: float = 1.0

    def last_exponent(self, settings: PruneRecipe) -> float:
        """The last layer's `PrunedLayer.exponent`: (1 - rate * last_rate) a round, not 1 - rate."""
        return math.log(1 - settings.rate * self.last_rate) / math.log(1 - settings.rate)
