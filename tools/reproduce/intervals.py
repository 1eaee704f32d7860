"""Means over seeds with 95% intervals (Student's t), and differences within seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of ``count`` values; ``half`` is half of its interval, None for one value."""

    value: float
    half: float | None
    count: int

    def points(self, *, sign: bool = False) -> str:
        """In points of 100, with the interval."""
        text = f"{100 * self.value:+.2f}" if sign else f"{100 * self.value:.2f}"
        return f"{text} ± {100 * self.half:.2f}" if self.half is not None else f"{text} (one seed)"

    @property
    def above(self) -> bool:
        """The whole interval lies above zero."""
        return self.half is not None and self.value - self.half > 0

    @property
    def below(self) -> bool:
        """The whole interval lies below zero."""
        return self.half is not None and self.value + self.half < 0


def mean(values: Sequence[float]) -> Mean:
    """The mean of ``values`` and its interval."""
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        return Mean(float(array.mean()), None, len(array))
    error = float(array.std(ddof=1)) / len(array) ** 0.5
    return Mean(float(array.mean()), float(stats.t.ppf(0.975, len(array) - 1)) * error, len(array))


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Mean:
    """The mean of the differences within each seed."""
    return mean([own - other for own, other in zip(ours, theirs, strict=True)])


def verdict(found: Mean) -> str:
    """What an interval allows to be said of "the first is higher"."""
    if found.above:
        return "holds"
    if found.below:
        return "does not hold: the opposite"
    return "not decided: the interval holds zero"
