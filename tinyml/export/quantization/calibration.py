"""What values a file's tensors take on samples: arrays in, ranges out. Runs nothing.

Two passes over the samples where a method looks at the distribution: the first finds the
extremes, the second fills histograms between them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tinyml.core.errors import InputError
from tinyml.core.finite import is_finite
from tinyml.core.spec import Array
from tinyml.export.quantization.ranges import METHODS, Histogram, Range

BINS = 2048
Sample = Mapping[str, Array]


@dataclass(slots=True)
class Extremes:
    """The first pass: smallest and largest value of every float tensor.

    ``padded``: those whose minus infinity counts for nothing, see
    `tinyml.export.quantization.infinity`.
    """

    padded: Collection[str] = ()
    samples: int = 0
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)

    def see(self, sample: Sample) -> None:
        """Take in one sample's tensors; `InputError` names one that is not finite."""
        self.samples += 1
        for name, value in sample.items():
            if not _holds_floats(value):
                continue
            if name in self.padded:
                value = value[~np.isneginf(value)]
            low, high = float(value.min()), float(value.max())
            if not is_finite((low, high)):
                raise InputError(
                    f"calibration sample {self.samples} makes '{name}' not finite",
                    hint="the samples are finite: float32 overflows in the model on this one",
                )
            self.low[name] = min(low, self.low.get(name, low))
            self.high[name] = max(high, self.high.get(name, high))

    def ranges(self) -> dict[str, Range]:
        """Min and max as they were seen."""
        return {name: Range(low, self.high[name]) for name, low in self.low.items()}


@dataclass(slots=True)
class Counts:
    """The second pass: a histogram of each tensor between its extremes."""

    extremes: Extremes
    counts: dict[str, Array] = field(default_factory=dict)

    def see(self, sample: Sample) -> None:
        """Take in one sample's tensors."""
        for name, value in sample.items():
            if name in self.extremes.low and self.extremes.low[name] < self.extremes.high[name]:
                between = (self.extremes.low[name], self.extremes.high[name])
                # Between nearly equal ends float32 has fewer numbers than there are bins.
                found = np.histogram(value.astype(np.float64), BINS, between)[0]
                self.counts[name] = self.counts.get(name, np.zeros(BINS, np.int64)) + found

    def histograms(self) -> dict[str, Histogram]:
        """Of every tensor that takes more than one value."""
        return {
            name: Histogram(self.extremes.low[name], self.extremes.high[name], counts)
            for name, counts in self.counts.items()
        }


def _holds_floats(value: object) -> bool:
    """Not of a sequence of tensors, which the reader of ONNX gives as a list."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and bool(value.size)


def choose_ranges(
    method: str,
    first: Iterable[Sample],
    second: Iterable[Sample],
    padded: Collection[str] = (),
) -> dict[str, Range]:
    """Tensor -> range by ``method``; ``second`` gives the same samples again if it is asked.

    ``padded``: as of `Extremes`.

    Raises `InputError` without samples, or for values that are not finite.
    """
    extremes = Extremes(padded)
    for sample in first:
        extremes.see(sample)
    if not extremes.samples:
        raise InputError("the calibration data holds no samples")
    found = extremes.ranges()
    choose = METHODS[method]
    if choose is None:
        return found
    counts = Counts(extremes)
    for sample in second:
        counts.see(sample)
    return found | {name: choose(own) for name, own in counts.histograms().items()}
