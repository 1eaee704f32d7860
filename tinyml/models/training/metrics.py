"""How good the labels are: never plain accuracy, which "always absent" wins on heart sounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyml.core.processor import Floats
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.training_record import SubjectMetrics

Counts = NDArray[np.int64]
Reals = NDArray[np.float64]
Numbers = NDArray[np.int64] | NDArray[np.float64]

# What a label weighs in the murmur task of the George B. Moody PhysioNet Challenge 2022
# (Reyna et al., PLOS Digital Health 2(9), 2023). Any other label weighs 1.
CHALLENGE_WEIGHTS = {"Present": 5.0, "Unknown": 3.0, "Absent": 1.0}


def confusion(
    truths: Sequence[int] | NDArray[Any], predictions: Sequence[int] | NDArray[Any], classes: int
) -> Counts:
    """Counts [truth, prediction]."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (np.asarray(truths, int), np.asarray(predictions, int)), 1)
    return counts


def recalls_of(labels: Sequence[str], counts: Counts) -> dict[str, float | None]:
    """Recall by label; ``None`` for one that does not occur."""
    return {
        label: int(row[index]) / int(row.sum()) if row.sum() else None
        for index, (label, row) in enumerate(zip(labels, counts, strict=True))
    }


def weighted_accuracy(counts: Counts, labels: Sequence[str]) -> float:
    """The challenge's score: weight of the right predictions over the weight of all."""
    return float(weighted_share(np.diag(counts), counts.sum(axis=1), labels))


def unweighted_average_recall(counts: Counts) -> float:
    """Mean of the recalls of the labels that occur (UAR)."""
    return float(average_recall(np.diag(counts), counts.sum(axis=1)))


def weighted_share(right: Numbers, every: Numbers, labels: Sequence[str]) -> Reals:
    """`weighted_accuracy` of right predictions and all by class, [..., classes] each -> [...]."""
    weights = np.array([CHALLENGE_WEIGHTS.get(label, 1.0) for label in labels])
    return np.asarray((weights * right).sum(axis=-1) / (weights * every).sum(axis=-1))


def average_recall(right: Numbers, every: Numbers) -> Reals:
    """`unweighted_average_recall` of right ones and all by class, [..., classes] -> [...]."""
    occurs = every > 0
    recalls = np.divide(right, every, out=np.zeros(every.shape), where=occurs)
    return np.asarray(recalls.sum(axis=-1) / occurs.sum(axis=-1))


def share_right(right: Numbers, every: Numbers) -> Reals:
    """Accuracy of right predictions and all by class, [..., classes] each -> [...]."""
    return np.asarray(right.sum(axis=-1) / every.sum(axis=-1))


def area_under_curve(positives: Reals, negatives: Reals) -> float | None:
    """Probability that a positive scores above a negative, ties half; ``None`` without both.

    Equal to the area under the ROC curve (Mann & Whitney 1947).
    """
    if not positives.size or not negatives.size:
        return None
    from scipy.stats import rankdata

    count = positives.size
    ranks = rankdata(np.concatenate([positives, negatives]))[:count]
    wins = ranks.sum() - count * (count + 1) / 2
    return float(wins / (count * negatives.size))


def subject_metrics(
    processor: RecordingProcessor, truths: Mapping[str, int], probabilities: Mapping[str, Floats]
) -> SubjectMetrics:
    """`label_metrics` of ``probabilities``, subject -> [classes], under one decision."""
    subjects = list(probabilities)
    return label_metrics(
        processor.labels,
        truths=[truths[subject] for subject in subjects],
        predictions=[processor.postprocess(probabilities[subject]) for subject in subjects],
        worst=[float(probabilities[subject][0]) for subject in subjects],
    )


def label_metrics(
    labels: Sequence[str], truths: Sequence[int], predictions: Sequence[int], worst: Sequence[float]
) -> SubjectMetrics:
    """Metrics of subjects, in order; ``worst``: probabilities of the worst label."""
    counts = confusion(truths, predictions, len(labels))
    scores, is_worst = np.asarray(worst, np.float64), np.asarray(truths, int) == 0
    return SubjectMetrics(
        persons=len(truths),
        weighted_accuracy=weighted_accuracy(counts, labels),
        uar=unweighted_average_recall(counts),
        auc_worst_label=area_under_curve(scores[is_worst], scores[~is_worst]),
        recall=recalls_of(labels, counts),
        confusion=tuple(map(tuple, counts.tolist())),
    )
