"""How good an image classifier's labels are: accuracy with its interval, and per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from tinyml.core.training_record import ImageMetrics
from tinyml.models.training.metrics import confusion, recalls_of


def image_metrics(
    labels: Sequence[str],
    truths: Sequence[int] | NDArray[Any],
    predictions: Sequence[int] | NDArray[Any],
) -> ImageMetrics:
    """Metrics of images, in order."""
    counts = confusion(truths, predictions, len(labels))
    right, total = int(counts.trace()), int(counts.sum())
    return ImageMetrics(
        images=total,
        accuracy=right / total,
        interval=wilson_interval(right, total),
        recall=recalls_of(labels, counts),
        confusion=tuple(map(tuple, counts.tolist())),
    )


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """The 95% score interval of ``right`` of ``total`` (Wilson, JASA 22, 1927)."""
    from scipy.stats import binomtest

    found = binomtest(right, total).proportion_ci(confidence_level=0.95, method="wilson")
    # The ends are 0 and 1 where nothing or all is right, but for rounding.
    low = 0.0 if right == 0 else float(found.low)
    return low, 1.0 if right == total else float(found.high)
