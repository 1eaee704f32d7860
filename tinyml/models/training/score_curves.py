"""Curves over the probabilities of a model: ROC of each class, and reliability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tinyml.core.evaluation_results import ReliabilityBin, RocCurve
from tinyml.core.processor import Floats
from tinyml.models.training.intervals import area_estimate, share_estimate
from tinyml.models.training.metrics import area_under_curve

Labels = NDArray[np.int64]
# Of a curve: more points cannot be told apart.
MOST_POINTS = 101
BINS, LEAST_IN_BIN = 10, 5


def roc_curves(
    labels: Sequence[str], truths: Labels, probabilities: Floats
) -> tuple[RocCurve, ...]:
    """Of each class that some samples have and others have not; of two classes, the first.

    ``truths`` [n], ``probabilities`` [n, classes].
    """
    wanted = labels[:1] if len(labels) == 2 else labels
    found = []
    for place, label in enumerate(wanted):
        positive, scores = truths == place, probabilities[:, place].astype(np.float64)
        area = area_under_curve(scores[positive], scores[~positive])
        if area is not None:
            estimate = area_estimate(label, area, int(positive.sum()), int((~positive).sum()))
            found.append(RocCurve(*_shares(positive, scores), estimate))
    return tuple(found)


def _shares(
    positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Shares of negatives and positives at or above each threshold; ties are one step."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    rates = []
    for one in (~positive, positive):
        counts = np.cumsum(one[order])[ends]
        rates.append(np.append(0.0, counts / counts[-1]))
    if len(rates[0]) > MOST_POINTS:
        kept = np.unique(np.linspace(0, len(rates[0]) - 1, MOST_POINTS).astype(int))
        rates = [own[kept] for own in rates]
    false_positive, true_positive = (tuple(map(float, own)) for own in rates)
    return false_positive, true_positive


def reliability(truths: Labels, probabilities: Floats) -> tuple[tuple[ReliabilityBin, ...], float]:
    """Bins of as many samples each by the largest probability, and the calibration error.

    It is the mean distance between probability and share of right ones (expected calibration
    error, Naeini et al., AAAI 2015), here over bins of equal numbers.
    """
    surest = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == truths
    count = max(1, min(BINS, len(truths) // LEAST_IN_BIN))
    parts = np.array_split(np.argsort(surest, kind="stable"), count)
    bins = tuple(
        ReliabilityBin(
            float(surest[part].mean()), share_estimate("right", int(right[part].sum()), len(part))
        )
        for part in parts
    )
    distance = sum(abs(own.probability - own.right.value) * own.right.count for own in bins)
    return bins, distance / len(truths)
