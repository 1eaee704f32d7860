"""A metric before and after, over the same subjects or images: the difference, with an interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Percentiles of draws with replacement, as in `tinyml.core.time_ratio`.
LEVEL = 0.95
DRAWS = 2000

Labels = NDArray[np.int64]
Reals = NDArray[np.float64]
# Right answers by class and all by class, [..., classes] each -> [...].
Metric = Callable[[Reals, Reals], Reals]


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of PyTorch or a float file, ``want``, and of another file, ``got``.

    ``low`` and ``high`` are the interval of ``got - want``. Fractions of 1.
    """

    want: float
    got: float
    low: float
    high: float

    @property
    def points(self) -> str:
        """In points of 100, with the interval: ``-0.07 (-0.28 to +0.14)``."""
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * (self.got - self.want):+.2f} ({low:+.2f} to {high:+.2f})"


def paired_difference(
    metric: Metric, truths: Labels, wants: Labels, gots: Labels, classes: int
) -> Difference:
    """``metric`` of the labels ``wants`` and ``gots`` [n], and its difference's interval.

    Paired: a drawn subject or image brings both labels (Efron & Tibshirani 1993, chapter 13); of
    [n, models], where several models were asked about each, those of all of them.
    The same labels have the same interval: draws are seeded.
    """
    size = len(truths)
    counts = [(labels == truths).astype(np.float64) for labels in (truths, wants, gots)]

    def counted(rows: Labels) -> Reals:
        """All, those right before, those right after: [3, classes]."""
        found = [np.bincount(truths[rows].ravel(), own[rows].ravel(), classes) for own in counts]
        return np.asarray(found, np.float64)

    generator = np.random.default_rng(0)
    draws = [counted(generator.integers(size, size=size)) for _ in range(DRAWS)]
    every, before, after = np.stack(draws, axis=1)
    moved = metric(after, every) - metric(before, every)
    low, high = np.quantile(moved, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    every, before, after = counted(np.arange(size))
    want, got = float(metric(before, every)), float(metric(after, every))
    return Difference(want, got, float(low), float(high))
