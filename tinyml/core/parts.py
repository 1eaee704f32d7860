"""Parts of a tensor that hold quantities of different size, as boxes in pixels next to scores.

One range, one tolerance and one signal-to-noise ratio for all of them hide the small ones: a
score that is always 0 is a rounding error next to a box of 320 pixels. A part is a set of
places along one axis. Parts are known from the graph (the operands of a concatenation, see
`tinyml.export.joined`) or seen in the values (channels that differ by orders of magnitude).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from tinyml.core.spec import Array

# A part this much smaller than the whole keeps fewer than 8 of the 255 steps of int8.
UNEVEN = 32.0
# Fewer values than this do not tell how large a channel is.
LEAST_VALUES = 16
MOST_CHANNELS = 128


@dataclass(frozen=True, slots=True)
class Joined:
    """Which part each place along ``axis`` belongs to: ``labels``, [size of the axis]."""

    axis: int
    labels: tuple[int, ...]


# ``stage`` or ``output``, and its name: a stage may have the name of an output.
Key = tuple[str, str]
STAGE, OUTPUT = "stage", "output"


@dataclass(frozen=True, slots=True)
class Part:
    """Places along one axis, and how large their values are over all cases.

    peak   largest magnitude
    span   from the smallest to the largest value, zero included
    power  mean square
    """

    axis: int
    places: tuple[int, ...]
    peak: float
    span: float
    power: float

    def of(self, value: Array) -> Array:
        """The part's values of a tensor."""
        return np.take(value, self.places, axis=self.axis)

    def __str__(self) -> str:
        runs = [
            [place for _, place in group]
            for _, group in groupby(enumerate(self.places), lambda pair: pair[1] - pair[0])
        ]
        named = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
        more = [f"{len(named) - 3} more"] if len(named) > 3 else []
        return f"{', '.join([*named[:3], *more])} of axis {self.axis}"


def parts_of(
    values: Sequence[Array],
    joined: Sequence[Joined],
    *,
    split: bool,
    others: Sequence[Array] = (),
) -> tuple[Part, ...]:
    """The parts of a tensor, given its value in each case; none for a tensor of one part.

    ``split``: also channels of another order of magnitude. ``others``: its value in cases that
    count for the size of a part only where ``values`` are too few or zero. A part that is
    always zero has no size: it is judged with the whole.
    """
    if not values or any(not value.size for value in (*values, *others)):
        return ()
    found = [*joined, *filter(None, [magnitudes(values) if split else None])]
    parts = [_sized(values, others, own.axis, places) for own in found for places in _places(own)]
    return tuple(dict.fromkeys(part for part in parts if part.power > 0.0))


def _sized(
    values: Sequence[Array], others: Sequence[Array], axis: int, places: tuple[int, ...]
) -> Part:
    part = _part(values, axis, places)
    count = sum(part.of(value).size for value in values)
    if part.power > 0.0 and count >= LEAST_VALUES:
        return part
    return _part([*values, *others], axis, places)


def _places(joined: Joined) -> list[tuple[int, ...]]:
    labels = np.asarray(joined.labels)
    return [tuple(np.flatnonzero(labels == own).tolist()) for own in np.unique(labels)]


def _part(values: Sequence[Array], axis: int, places: tuple[int, ...]) -> Part:
    taken = [np.take(value, places, axis=axis).astype(np.float64) for value in values]
    high = max(max(float(own.max()), 0.0) for own in taken)
    low = min(min(float(own.min()), 0.0) for own in taken)
    power = float(np.mean([np.mean(own**2) for own in taken]))
    return Part(axis, places, max(high, -low), high - low, power)


def magnitudes(values: Sequence[Array]) -> Joined | None:
    """Channels by their order of magnitude, in powers of `UNEVEN` below the largest.

    ``None`` where all are of one, where too few values tell, or where all values lie between
    0 and 1: probabilities are of one kind, however rare a class is. A channel that is always
    zero counts as large.
    """
    axis = channel_axis(values[0].shape)
    if len({value.shape for value in values}) > 1:
        return None
    if axis is None or values[0].dtype.kind != "f" or _probabilities(values):
        return None
    size = values[0].shape[axis]
    if sum(value.size for value in values) < LEAST_VALUES * size:
        return None
    lines = [np.abs(np.moveaxis(v, axis, 0).reshape(size, -1)).max(axis=1) for v in values]
    peaks = np.max(lines, axis=0).astype(np.float64)
    whole = float(peaks.max())
    if not np.isfinite(whole) or whole == 0.0:
        return None
    peaks[peaks == 0.0] = whole
    orders = np.floor(np.log(whole / peaks) / np.log(UNEVEN)).astype(int)
    return Joined(axis, tuple(orders.tolist())) if orders.any() else None


def channel_axis(shape: Sequence[int]) -> int | None:
    """The axis that is clearly the shortest: other axes are places, time or anchors.

    At most `MOST_CHANNELS`, and a quarter of any other axis longer than 1.
    """
    sizes = [(size, axis) for axis, size in enumerate(shape) if size > 1]
    if not sizes:
        return None
    (size, axis), *others = sorted(sizes)
    clear = all(4 * size <= other for other, _ in others)
    return axis if clear and size <= MOST_CHANNELS else None


def _probabilities(values: Sequence[Array]) -> bool:
    return all(float(v.min()) >= 0.0 and float(v.max()) <= 1.0 for v in values)
