"""Lottery tickets by iterative magnitude pruning, rewound to the start or to step k.

Frankle & Carbin 2019, arXiv 1803.03635: train, prune a share of the survivors, give the
rest their initial values back, repeat. Rewound to an early step k > 0 the tickets are
stable in deeper networks: Frankle et al. 2019, arXiv 1903.01611. Layer by layer, the last
one is pruned at half the rate, as published.
"""

from __future__ import annotations

import math

from tinyml.core.recipe import PruneRecipe
from tinyml.models.pruning.method import PruningMethod


def rounds(settings: PruneRecipe) -> tuple[float, ...]:
    """0 for the dense training, then each round's share of the final sparsity.

    Every round prunes ``rate`` of the survivors, beginning with those that ``initial``
    leaves; the last round as much as is left to do.
    """
    first, keep = 1 - settings.initial, 1 - settings.rate
    count = math.log((1 - settings.sparsity) / first) / math.log(keep)
    # A sliver of a round, from rounding the sparsity, is no training of its own.
    whole = [1 - first * keep**number for number in range(1, math.ceil(count - 0.01))]
    return (0.0, *(share / settings.sparsity for share in whole), 1.0)


LOTTERY = PruningMethod(
    name="lottery",
    paper="arXiv 1803.03635, 1903.01611",
    summary="rounds of training and pruning; survivors go back to their early values",
    score=lambda weight: weight.abs(),
    rounds=rounds,
    survivors="rewind",
    layers="every",
    last_rate=0.5,
)
