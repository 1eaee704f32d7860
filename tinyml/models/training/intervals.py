"""95% intervals of metrics, none of which vanishes where every answer is right.

Recalls have Wilson's score interval. A weighted mean of them has the one that follows from theirs
(MOVER: Zou & Donner, Stat. Med. 27, 2008). An area under the curve has the score interval of
Newcombe's method 5 (Stat. Med. 25, 2006), over the variance of Hanley & McNeil (Radiology 143,
1982).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tinyml.core.evaluation_results import Estimate
from tinyml.models.training.image_metrics import wilson_interval
from tinyml.models.training.metrics import CHALLENGE_WEIGHTS, Counts

Z = 1.959964  # two-sided 95% of the normal distribution


def share_estimate(name: str, right: int, total: int) -> Estimate:
    """``right`` of ``total``."""
    low, high = wilson_interval(right, total)
    return Estimate(name, right / total, low, high, total)


def recall_estimates(labels: Sequence[str], counts: Counts) -> tuple[Estimate, ...]:
    """Of each label that occurs in ``counts`` [truth, prediction]."""
    return tuple(
        share_estimate(label, int(row[place]), int(row.sum()))
        for place, (label, row) in enumerate(zip(labels, counts, strict=True))
        if row.sum()
    )


def average_recall_estimate(recalls: Sequence[Estimate]) -> Estimate:
    """The unweighted average recall (UAR)."""
    return _weighted("UAR", recalls, [1 / len(recalls)] * len(recalls))


def weighted_accuracy_estimate(recalls: Sequence[Estimate]) -> Estimate:
    """The score of the PhysioNet challenge: recalls weighted by label and number."""
    weights = [CHALLENGE_WEIGHTS.get(own.name, 1.0) * own.count for own in recalls]
    return _weighted("weighted accuracy", recalls, [own / sum(weights) for own in weights])


def _weighted(name: str, recalls: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    pairs = list(zip(recalls, weights, strict=True))
    value = sum(own.value * weight for own, weight in pairs)
    below = sum((weight * (own.value - own.low)) ** 2 for own, weight in pairs)
    above = sum((weight * (own.high - own.value)) ** 2 for own, weight in pairs)
    count = sum(own.count for own in recalls)
    low, high = value - math.sqrt(below), value + math.sqrt(above)
    return Estimate(name, value, max(0.0, low), min(1.0, high), count)


def area_estimate(name: str, area: float, positives: int, negatives: int) -> Estimate:
    """An area under the ROC curve of so many ``positives`` and ``negatives``."""

    def beyond(true: float) -> float:
        return abs(area - true) - Z * _area_error(true, positives, negatives)

    low = 0.0 if area == 0.0 else _root(beyond, 0.0, area)
    high = 1.0 if area == 1.0 else _root(beyond, 1.0, area)
    return Estimate(name, area, low, high, positives + negatives)


def _area_error(area: float, positives: int, negatives: int) -> float:
    others = (positives + negatives) / 2 - 1
    terms = (1 - area) / (2 - area) + area / (1 + area)
    return math.sqrt(area * (1 - area) * (1 + others * terms) / (positives * negatives))


def _root(beyond: Callable[[float], float], outside: float, inside: float) -> float:
    """Where ``beyond`` changes its sign between an end of the axis and the value itself."""
    for _ in range(60):
        middle = (outside + inside) / 2
        if beyond(middle) > 0:
            outside = middle
        else:
            inside = middle
    return float(np.clip(inside, 0.0, 1.0))
