"""How good an image classifier's labels are: accuracy with its interval, and per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from tinyml.models.training.metrics import confusion


def image_metrics(
    labels: Sequence[str],
    truths: Sequence[int] | NDArray[Any],
    predictions: Sequence[int] | NDArray[Any],
) -> dict[str, Any]:
    """Metrics of images, in order, as JSON values.

    Keys: ``images``, ``accuracy``, ``interval`` (95%, of the images alone: another seed's
    training spreads wider), ``recall`` by label (``None`` when no image has it) and
    ``confusion`` [truth][prediction].
    """
    counts = confusion(truths, predictions, len(labels))
    right, total = int(counts.trace()), int(counts.sum())
    return {
        "images": total,
        "accuracy": right / total,
        "interval": list(wilson_interval(right, total)),
        "recall": {
            label: int(row[index]) / int(row.sum()) if row.sum() else None
            for index, (label, row) in enumerate(zip(labels, counts, strict=True))
        },
        "confusion": counts.tolist(),
    }


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """The 95% score interval of ``right`` of ``total`` (Wilson, JASA 22, 1927)."""
    from scipy.stats import binomtest

    found = binomtest(right, total).proportion_ci(confidence_level=0.95, method="wilson")
    # The ends are 0 and 1 where nothing or all is right, but for rounding.
    low = 0.0 if right == 0 else float(found.low)
    return low, 1.0 if right == total else float(found.high)
