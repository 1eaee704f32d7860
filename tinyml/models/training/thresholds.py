"""A processor's thresholds, chosen on subjects that the model was not trained on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinyml.core.processor import Floats
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.models.training.metrics import confusion, unweighted_average_recall, weighted_accuracy

CANDIDATES = 2000
FINEST = 24
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def choose_thresholds(
    processor: RecordingProcessor, truths: Mapping[str, int], probabilities: Mapping[str, Floats]
) -> tuple[float, ...]:
    """One threshold per label but the last, from a coarse grid.

    Maximizes the mean of weighted accuracy and UAR over the subjects of ``probabilities``,
    smoothed over neighbouring thresholds: with few subjects the score is ragged, and a
    single peak is mostly chance where a plateau is not. Of equals, the middle one.
    """
    count = len(processor.labels) - 1
    steps = max(2, min(FINEST, int(CANDIDATES ** (1 / count))))
    values = np.arange(1, steps + 1) / (steps + 1)
    candidates = list(itertools.product(values.tolist(), repeat=count))
    scores = np.array([_score(processor, row, truths, probabilities) for row in candidates])
    smooth = _smooth(scores.reshape((steps,) * count)).ravel()
    best = np.array(candidates)[smooth >= smooth.max() - 1e-9]
    distance = np.square(best - best.mean(axis=0)).sum(axis=1)
    return tuple(best[int(np.argmin(distance))].tolist())


def _smooth(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Binomial mean over five neighbours along every axis; the rim is repeated outward."""
    for axis in range(scores.ndim):
        width = [(2, 2) if other == axis else (0, 0) for other in range(scores.ndim)]
        padded = np.pad(scores, width, mode="edge")
        size = scores.shape[axis]
        parts = [padded.take(range(at, at + size), axis) for at in range(5)]
        scores = np.tensordot(BINOMIAL, np.stack(parts), axes=1)
    return scores


def _score(
    processor: RecordingProcessor,
    thresholds: tuple[float, ...],
    truths: Mapping[str, int],
    probabilities: Mapping[str, Floats],
) -> float:
    chosen = replace(processor, thresholds=thresholds)
    predictions = [chosen.postprocess(row) for row in probabilities.values()]
    counts = confusion(
        [truths[subject] for subject in probabilities], predictions, len(processor.labels)
    )
    return (weighted_accuracy(counts, processor.labels) + unweighted_average_recall(counts)) / 2
