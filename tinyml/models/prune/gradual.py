"""Gradual magnitude pruning under the cubic schedule.

Zhu & Gupta 2017, "To prune, or not to prune", arXiv 1710.01878, equation 1:
s_t = s_f + (s_i - s_f) (1 - (t - t0) / (n dt))^3.
"""

from __future__ import annotations

from tinyml.core.recipe import PruneRecipe
from tinyml.models.prune.method import Method


def cubic(asked: PruneRecipe, step: int, steps: int) -> float:
    """s_t / s_f after ``step`` of ``steps``: s_i / s_f before ``begin``, 1 from ``end`` on."""
    start, stop = asked.begin * steps, asked.end * steps
    first = asked.initial / asked.sparsity if asked.sparsity else 0.0
    done = min(max((step - start) / (stop - start), 0.0), 1.0)
    return 1.0 + (first - 1.0) * (1.0 - done) ** 3


GRADUAL = Method(
    name="gradual",
    paper="arXiv 1710.01878",
    summary="smallest weights go while training, by a cubic schedule",
    score=lambda weight: weight.abs(),
    rounds=lambda _asked: (0.0,),
    schedule=cubic,
)
