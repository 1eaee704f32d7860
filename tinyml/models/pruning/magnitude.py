"""One-shot magnitude pruning: the smallest weights of a trained network go, the rest train on.

The baseline that every other method is compared with (Han et al. 2015, arXiv 1506.02626).
"""

from __future__ import annotations

from tinyml.models.pruning.method import PruningMethod

MAGNITUDE = PruningMethod(
    name="magnitude",
    paper="arXiv 1506.02626",
    summary="smallest weights go at once, then the survivors train on",
    score=lambda weight: weight.abs(),
    rounds=lambda _settings: (1.0,),
    layers="all",
)
