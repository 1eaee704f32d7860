"""How much of a tensor's values eight bits are spread over: one function a method.

All take a `Histogram` and give a `Range` inside of it. What lies outside saturates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tinyml.core.spec import Array

LEVELS = 256
# Share of the values that percentile keeps; the rest is cut off in equal parts at both ends.
KEPT = 0.9999
# Shares of the largest magnitude that mse and entropy try to cut at.
SCALES = np.linspace(0.2, 1.0, 81)
# What q gives to a bin that p has only because outliers were moved into it.
UNSEEN = 1e-6


@dataclass(frozen=True, slots=True)
class Range:
    """The values that an integer tensor can take."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """``counts`` in bins of equal width between ``low`` and ``high``."""

    low: float
    high: float
    counts: Array

    @property
    def centres(self) -> Array:
        """The middle of every bin."""
        edges = np.linspace(self.low, self.high, len(self.counts) + 1)
        return (edges[1:] + edges[:-1]) / 2


def central(seen: Histogram, kept: float) -> Range:
    """Where the share ``kept`` of the values lies, as many left out at either end.

    All of it where no value is counted, as in the histogram of a constant.
    """
    total = seen.counts.sum()
    if not total:
        return Range(seen.low, seen.high)
    share = np.cumsum(seen.counts) / total
    edges = np.linspace(seen.low, seen.high, len(seen.counts) + 1)
    cut = (1 - kept) / 2
    low, high = np.searchsorted(share, cut, side="right"), np.searchsorted(share, 1 - cut)
    return Range(float(edges[low]), float(edges[high + 1]))


def percentile(seen: Histogram) -> Range:
    """Without the outermost ``1 - KEPT`` of the values."""
    return central(seen, KEPT)


def mse(seen: Histogram) -> Range:
    """The cut whose rounding and saturation err least in the mean square."""
    centres, weight = seen.centres, seen.counts / seen.counts.sum()

    def error(tried: Range) -> float:
        return float(np.sum(weight * (_rounded(centres, tried) - centres) ** 2))

    return min(_scaled(seen), key=error)


def entropy(seen: Histogram) -> Range:
    """The cut that loses least information: D(p || q) of TensorRT's calibration.

    Szymon Migacz, "8-bit inference with TensorRT", GTC 2017: p is the distribution with its
    outliers moved to the ends, q what is left of it in ``LEVELS`` levels, spread evenly over
    the bins of each level that were not empty. Zero is exact in any range: how often a ReLU
    gives it says nothing, and its bin is no higher than its neighbours.
    """
    flat = Histogram(seen.low, seen.high, _without_spike(seen))
    return min(_scaled(flat), key=lambda tried: _divergence(flat, tried))


METHODS: Mapping[str, Callable[[Histogram], Range] | None] = {
    "min-max": None,
    "percentile": percentile,
    "mse": mse,
    "entropy": entropy,
}


def _scaled(seen: Histogram) -> list[Range]:
    """The range cut at shares of its far end, on either side of zero; the whole of it first."""
    far = max(abs(seen.low), abs(seen.high))
    ends = [(max(seen.low, -scale * far), min(seen.high, scale * far)) for scale in SCALES[::-1]]
    return [Range(float(low), float(high)) for low, high in ends if low < high]


def _rounded(values: Array, tried: Range) -> Array:
    """Through ``LEVELS`` levels over ``tried`` and zero, and back."""
    low, high = min(tried.low, 0.0), max(tried.high, 0.0)
    step = (high - low) / (LEVELS - 1) or 1.0
    return np.clip(np.round(values / step), round(low / step), round(high / step)) * step


def _without_spike(seen: Histogram) -> Array:
    counts = seen.counts.copy()
    width = (seen.high - seen.low) / len(counts)
    zero = int(np.clip(-seen.low / width, 0, len(counts) - 1)) if width else 0
    beside = np.concatenate([counts[max(0, zero - 1) : zero], counts[zero + 1 : zero + 2]])
    counts[zero] = min(int(counts[zero]), int(beside.max(initial=0)))
    return counts


def _divergence(seen: Histogram, tried: Range) -> float:
    inside = (seen.centres >= tried.low) & (seen.centres <= tried.high)
    kept = seen.counts[inside].astype(np.float64)
    if not kept.sum():
        return float("inf")
    p = kept.copy()
    first = int(np.argmax(inside))
    p[0] += seen.counts[:first].sum()
    p[-1] += seen.counts[first + len(kept) :].sum()
    level = np.arange(len(kept)) * LEVELS // max(LEVELS, len(kept))
    held = np.bincount(level, kept)
    filled = np.bincount(level, kept > 0)
    q = np.where(kept > 0, (held / np.maximum(filled, 1))[level], 0.0)
    p, q = p / p.sum(), np.maximum(q / q.sum(), UNSEEN)
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / q[some])))
