"""How a recording becomes windows, and the probabilities of windows a label."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from tinyml.core.errors import DataError, InputError
from tinyml.core.finite import check_finite, is_finite
from tinyml.core.processor import Floats, Processor, check_probabilities
from tinyml.core.text import told_apart

FULL_SCALE = "samples have full scale 1: divide them by the largest value of their format"
RESAMPLER = "polyphase windowed sinc, Kaiser beta 5 (scipy.signal.resample_poly)"


@dataclass(frozen=True, slots=True)
class RecordingProcessor(Processor):
    """From samples to a label.

    labels         class names, worst first
    window         samples of one window, at ``rate_hz`` (or points, see ``whole``)
    hop            samples between the starts of two windows
    rate_hz        the graph's sample rate; 0 when ``whole``
    whole          the whole recording is squeezed to ``window`` points instead of cut
    min_rate_hz    recordings below this rate lack the band that the model looks at
    aggregation    how windows make a recording, and recordings a subject
    thresholds     one per label but the last: the first label, worst first, whose
                   probability reaches its threshold is the answer, else the last;
                   empty means the most probable label
    resampler      how samples come to ``rate_hz``, in words
    """

    labels: tuple[str, ...]
    window: int
    hop: int
    rate_hz: int
    min_rate_hz: int = 0
    whole: bool = False
    aggregation: Literal["mean", "max"] = "mean"
    thresholds: tuple[float, ...] = ()
    resampler: str = RESAMPLER
    kind: Literal["recording"] = "recording"

    def __post_init__(self) -> None:
        if self.thresholds and len(self.thresholds) != len(self.labels) - 1:
            raise InputError(
                f"{len(self.thresholds)} thresholds for {len(self.labels)} labels: "
                "every label but the last needs one"
            )
        check_finite("the threshold of", dict(zip(self.labels, self.thresholds, strict=False)))
        if self.window < 1 or self.hop < 1:
            raise InputError(f"window {self.window} and hop {self.hop} must be positive")
        if self.aggregation not in ("mean", "max"):
            raise InputError(f"aggregation '{self.aggregation}' is neither mean nor max")

    def preprocess(self, samples: Floats, rate_hz: int) -> Floats:
        """Cut ``samples`` [time], full scale 1, into windows [n, window].

        Raises `DataError` for a recording that is too short, too slow, silent or not finite.
        """
        self._check(samples, rate_hz)
        if self.whole:
            whole = resample(samples, Fraction(self.window, samples.size))
            return self._resampled(whole)[None, : self.window]
        samples = self._resampled(resample(samples, Fraction(self.rate_hz, rate_hz)))
        starts = window_starts(samples.size, self.window, self.hop)
        return np.stack([samples[start : start + self.window] for start in starts])

    def _check(self, samples: Floats, rate_hz: int) -> None:
        if rate_hz < self.min_rate_hz:
            raise DataError(
                f"recorded at {rate_hz} Hz, the model's band needs at least {self.min_rate_hz} Hz",
                hint="record at a higher rate; resampling cannot bring the band back",
            )
        if not is_finite(samples):
            raise DataError("the recording holds NaN or infinite samples")
        if not np.any(samples):
            raise DataError("the recording is silent: every sample is zero")
        needed = 1.0 if self.whole else self.window * rate_hz / self.rate_hz
        if samples.size < needed:
            if self.whole:
                raise DataError("the recording is empty")
            lasts, takes = told_apart(samples.size / rate_hz, self.window / self.rate_hz)
            raise DataError(f"the recording lasts {lasts} s, one window takes {takes} s")

    @staticmethod
    def _resampled(samples: Floats) -> Floats:
        if not is_finite(samples):
            raise DataError(
                "the recording is too loud to be resampled: float32 overflows", hint=FULL_SCALE
            )
        return samples

    def aggregate(self, probabilities: Floats) -> Floats:
        """[n, classes] of windows (or of a subject's recordings) -> [classes]."""
        pool = np.mean if self.aggregation == "mean" else np.max
        return np.asarray(pool(probabilities.astype(np.float64), axis=0), np.float32)

    def postprocess(self, probabilities: Floats) -> int:
        """As `Processor.postprocess`, by the thresholds."""
        check_probabilities(self.labels, probabilities)
        for index, threshold in enumerate(self.thresholds):
            if probabilities[index] >= threshold:
                return index
        return len(self.labels) - 1 if self.thresholds else int(np.argmax(probabilities))

    def margin(self, probabilities: Floats) -> float:
        """How far ``probabilities`` [classes] are from another label."""
        if not self.thresholds:
            ordered = np.sort(probabilities)
            return float(ordered[-1] - ordered[-2])
        until = min(self.postprocess(probabilities) + 1, len(self.thresholds))
        gaps = [abs(float(probabilities[i]) - self.thresholds[i]) for i in range(until)]
        return min(gaps)


def recording_processor(processor: Processor) -> RecordingProcessor:
    """``processor``, when it is of recordings; `InputError` when it is of images."""
    if not isinstance(processor, RecordingProcessor):
        raise InputError("the model takes images, not recordings")
    return processor


def window_starts(size: int, window: int, hop: int) -> list[int]:
    """First sample of each window; the last one ends with the recording."""
    starts = list(range(0, size - window + 1, hop))
    if starts[-1] + window < size:
        starts.append(size - window)
    return starts


def resample(samples: Floats, ratio: Fraction) -> Floats:
    """*The* resampler: [time] -> [ceil(time * ratio)], band-limited, level kept."""
    if ratio == 1:
        return samples.astype(np.float32)
    from scipy.signal import resample_poly

    resampled = resample_poly(samples.astype(np.float64), ratio.numerator, ratio.denominator)
    with np.errstate(over="ignore"):  # what overflows is refused by name
        return np.asarray(resampled, np.float32)
