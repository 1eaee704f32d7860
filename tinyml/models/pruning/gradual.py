"""Gradual magnitude pruning under the cubic schedule.

Zhu & Gupta 2017, "To prune, or not to prune", arXiv 1710.01878, equation 1:
s_t = s_f + (s_i - s_f) (1 - (t - t0) / (n dt))^3.
"""

from __future__ import annotations

from tinyml.core.recipe import PruneRecipe
from tinyml.models.pruning.method import PruningMethod


def cubic(settings: PruneRecipe, step: int, steps: int) -> float:
    """s_t / s_f after ``step`` of ``steps``: s_i / s_f before ``begin``, 1 from ``end`` on."""
    start, stop = settings.begin * steps, settings.end * steps
    first = settings.initial / settings.sparsity if settings.sparsity else 0.0
    done = min(max((step - start) / (stop - start), 0.0), 1.0)
    return 1.0 + (first - 1.0) * (1.0 - done) ** 3


GRADUAL = PruningMethod(
    name="gradual",
    paper="arXiv 1710.01878",
    summary="smallest weights go while training, by a cubic schedule",
    score=lambda weight: weight.abs(),
    rounds=lambda _settings: (0.0,),
    schedule=cubic,
)
