"""The only tolerances. Each says why it is as wide as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinyml.core.parts import Part
from tinyml.core.quant_params import QuantizedType
from tinyml.core.quant_params import step as step_of
from tinyml.core.spec import Array

PolicyName = Literal["bitwise", "rewrite", "engine", "fp16", "w8", "w8a16", "int8"]

# A bound is six times what forty layers add up to, independent of each other: 6 sqrt(40) times
# the noise of a single layer.
LAYERS = 38.0
# A reference with its channels in another order explains an output only where it leaves a tenth
# of the error: noise that turns two nearly equal channels around does not make the others fit.
ROTATED_DB = 10.0
# Four roundings of float32, of the whole tensor's peak.
PART_FLOOR = 2.0**-22


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What an output may differ by.

    Each element's error is at most ``atol + rtol * max|want| + steps`` quantization steps,
    where one is the tensor's own or, not known, that of ``dtype`` over the range of ``want``;
    ``sqnr_db`` is the least signal to noise over all of them. An output that `is_rotated` is
    wrong however small its error is.
    """

    atol: float
    rtol: float
    because: str
    steps: float = 0.0
    sqnr_db: float | None = None
    dtype: QuantizedType = "int8"

    def bound(self, want: Array, step: float | None = None) -> float:
        """The largest error allowed against ``want``; ``step``: the tensor's, in integers."""
        one = self._step(want) if step is None else step
        return self.atol + self.rtol * _peak(want) + self.steps * one

    def accepts(self, got: Array, want: Array, step: float | None = None) -> bool:
        """Whether ``got`` has the shape of ``want``, no NaN, and no more error than allowed."""
        bound = self.bound(want, step)
        if got.shape != want.shape or not largest_error(got, want) <= bound:
            return False
        is_silent = not np.any(want)  # then there is no signal, and the bound judges alone
        if self.sqnr_db is not None and not is_silent and sqnr_db(got, want) < self.sqnr_db:
            return False
        return not is_rotated(got, want, bound / LAYERS)

    def _step(self, want: Array) -> float:
        """Over the range of ``want``, zero included."""
        finite = want[np.isfinite(want)].astype(np.float64)
        return step_of(self.dtype, float(finite.min(initial=0.0)), float(finite.max(initial=0.0)))

    def part_bound(self, want: Array, part: Part, step: float | None = None) -> float:
        """The largest error allowed in one part of a tensor, whose value in a case is ``want``.

        As `bound`, of the part's own size: over all cases, since a part may be quiet in one,
        but not below what float32 rounds where a part is a difference of large numbers.
        """
        own, whole = part.of(want), _peak(want)
        relative = max(self.rtol * max(part.peak, _peak(own)), PART_FLOOR * whole)
        one = max(step_of(self.dtype, 0.0, part.span), self._step(own))
        one = one if step is None else min(step, one)
        return self.atol + (relative if self.rtol else 0.0) + self.steps * one

    def accepts_part(self, got: Array, want: Array, part: Part, step: float | None = None) -> bool:
        """Whether ``part`` of ``got`` has no more error, and no more noise, than allowed."""
        if not largest_error(part.of(got), part.of(want)) <= self.part_bound(want, part, step):
            return False
        return self.sqnr_db is None or part_sqnr_db(got, want, part) >= self.sqnr_db


POLICIES: dict[PolicyName, Tolerance] = {
    "bitwise": Tolerance(0.0, 0.0, "same operations in the same order"),
    "rewrite": Tolerance(0.0, 1e-6, "float32 sums may be reassociated"),
    "engine": Tolerance(0.0, 1e-4, "engines fuse and vectorise differently"),
    "fp16": Tolerance(
        0.0,
        2.0**-6,
        "float16 rounds each weight and activation by 2^-11 of it; a thousand such errors, "
        "independent of each other, add up to sqrt(1024) x 2^-11 = 2^-6 of the peak",
    ),
    "w8": Tolerance(
        0.0,
        0.1,
        "a weight of eight bits is off by at most 1/254 of its channel's largest, 1/440 rms, "
        "which is 2^-7 of the weights' rms where the largest is 3.5 times that, and 2^-7 of a sum "
        "of products with them. Forty such layers, independent of each other, make sqrt(40) x "
        "2^-7 = 0.05 of the output's rms, and no value is off by more than six times that: a "
        "tenth of the peak where that is three times the rms. Noise above a hundredth of the "
        "signal's power, twice as much, does not come from rounding weights",
        sqnr_db=20.0,
    ),
    "w8a16": Tolerance(
        0.0,
        0.1,
        "its weights have the eight bits of w8, which its error comes from. An activation of "
        "sixteen bits is rounded to 65,534 steps, and forty layers make 38 of these as in int8, "
        "which count only where a tensor holds far less than its range",
        steps=38.0,
        sqnr_db=20.0,
        dtype="int16",
    ),
    "int8": Tolerance(
        0.0,
        0.0,
        "a quantized layer rounds its weights and its output to 255 steps, about one step of "
        "noise in all; forty such layers, independent of each other, make sqrt(40) = 6.3 steps "
        "rms, and no value is off by more than six times that. Noise above a tenth of the "
        "signal's power does not come from rounding but from a range that does not fit",
        steps=38.0,
        sqnr_db=10.0,
    ),
}

# A share of samples counts decisions: rounding may turn one that is on the fence. Any other
# metric moves with every value, and has no scale but its own: what is allowed is relative alone.
# Within 1% it still says the same of the model.
METRIC_RTOL = 0.01


def metric_bound(want: float, samples: int, *, is_share: bool = True) -> float:
    """How far an engine's metric may be from ``want``, PyTorch's: one sample of all, or 1%.

    1% alone where it is not a share of ``samples``.
    """
    relative = METRIC_RTOL * abs(want)
    return max(1.0 / samples, relative) if is_share else relative


def largest_error(got: Array, want: Array) -> float:
    """Largest absolute difference; infinite where either is not finite and they differ."""
    if got.size == 0:
        return 0.0
    got, want = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.where(got == want, 0.0, np.abs(got - want))
    return float(np.max(np.nan_to_num(error, nan=np.inf, posinf=np.inf)))


def sqnr_db(got: Array, want: Array) -> float:
    """Signal to quantization-noise ratio in dB; ``inf`` for the very same values.

    ``-inf``, the worst, where either side is not finite, and for noise on a silent reference.
    """
    want = want.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        signal = float(np.sum(want**2))
        noise = float(np.sum((got.astype(np.float64) - want) ** 2))
    if not (np.isfinite(signal) and np.isfinite(noise)):
        return float("-inf")
    if noise == 0.0:
        return float("inf")
    return 10.0 * float(np.log10(signal / noise)) if signal else float("-inf")


def part_sqnr_db(got: Array, want: Array, part: Part) -> float:
    """As `sqnr_db`, of one part; its signal is the larger of this case's and that of all cases."""
    own = part.of(want).astype(np.float64)
    signal = max(part.power, float(np.mean(own**2)))
    noise = float(np.mean((part.of(got).astype(np.float64) - own) ** 2))
    return float("inf") if noise == 0.0 else 10.0 * float(np.log10(signal / noise))


def is_rotated(got: Array, want: Array, noise: float) -> bool:
    """Whether ``got`` is ``want`` with its channels in another order, by one place.

    Channels that differ little, such as nearly equal probabilities, may trade places within
    any tolerance for their size. Then ``want`` in that order leaves less of the error, by
    `ROTATED_DB`. Channels are the second axis (PyTorch's images) or the last. Not asked of an
    error below ``noise``, root mean square, which turns channels around by chance.
    """
    got, want = got.astype(np.float64), want.astype(np.float64)
    error = float(np.sum((got - want) ** 2))
    if not np.isfinite(error) or error <= got.size * noise**2:
        return False
    axes = {axis % got.ndim for axis in (1, -1) if -got.ndim <= axis < got.ndim}
    left = min(
        (float(np.sum((got - np.roll(want, by, axis)) ** 2)) for axis in axes for by in (1, -1)),
        default=error,
    )
    return bool(left < error * 10.0 ** (-ROTATED_DB / 10.0))


def _peak(want: Array) -> float:
    finite = want[np.isfinite(want)]
    return float(np.max(np.abs(finite.astype(np.float64)))) if finite.size else 0.0
