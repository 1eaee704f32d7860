"""The thresholds of a `Decision`, chosen on persons that the asked model has not seen."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinyml.decision import Decision, Floats
from tinyml.models.metrics import confusion, unweighted_average_recall, weighted_accuracy

CANDIDATES = 2000
FINEST = 24


def choose_thresholds(
    decision: Decision, truths: Mapping[str, int], probabilities: Mapping[str, Floats]
) -> tuple[float, ...]:
    """One threshold per label but the last, from a coarse grid.

    Maximizes the mean of weighted accuracy and UAR over the persons of ``probabilities``.
    Of all that reach the maximum, the one nearest to their mean is taken: the middle of a
    plateau rather than its rim, since the edge of a maximum is mostly chance.
    """
    candidates = _grid(len(decision.labels) - 1)
    scores = np.array([_score(decision, row, truths, probabilities) for row in candidates])
    best = candidates[scores >= scores.max() - 1e-12]
    distance = np.square(best - best.mean(axis=0)).sum(axis=1)
    return tuple(float(value) for value in best[int(np.argmin(distance))])


def _grid(count: int) -> NDArray[np.float64]:
    """At most `CANDIDATES` rows of ``count`` values, even steps inside (0, 1)."""
    steps = max(2, min(FINEST, int(CANDIDATES ** (1 / count))))
    values = np.round(np.arange(1, steps + 1) / (steps + 1), 4)
    return np.array(list(itertools.product(values, repeat=count)))


def _score(
    decision: Decision,
    thresholds: NDArray[np.float64],
    truths: Mapping[str, int],
    probabilities: Mapping[str, Floats],
) -> float:
    chosen = replace(decision, thresholds=tuple(map(float, thresholds)))
    answers = [chosen.label(own) for own in probabilities.values()]
    counts = confusion([truths[person] for person in probabilities], answers, len(decision.labels))
    return (weighted_accuracy(counts, decision.labels) + unweighted_average_recall(counts)) / 2
