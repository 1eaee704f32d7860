"""Is one model file faster than another? The ratio of their medians, with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinyml.core.measurement import Measurement

# Calls of a process resemble each other (some starts are slow for their whole life), so
# processes are what is drawn. The bootstrap of so few is too narrow for its name: for equal
# files the 99% interval leaves out 1 in 4% of comparisons of five processes each and in 1%
# of seven (`measured` of tests/core/test_time_ratio.py, 600 comparisons), the 95% one in 6 to 9%.
LEVEL = 0.99
LEAST_PROCESSES = 5
DRAWS = 2000

Speed = Literal["faster", "slower", "no difference seen", "no verdict"]


@dataclass(frozen=True, slots=True)
class TimeRatio:
    """The time of B over that of A.

    ratio     of the medians of all calls; ``low`` and ``high``: its bootstrap interval.
              ``None`` where the two cannot be compared
    verdict   of B; ``why`` there is none
    """

    ratio: float | None
    low: float | None
    high: float | None
    verdict: Speed
    why: str = ""


def time_ratio(a: Measurement, b: Measurement) -> TimeRatio:
    """Compare ``b`` with ``a``; a verdict only for equal conditions and enough processes."""
    if differ := [*a.differences(b), *_run_otherwise(a, b)]:
        return TimeRatio(None, None, None, "no verdict", f"they differ in {', '.join(differ)}")
    counts = len(_calls(a)), len(_calls(b))
    if min(counts) < LEAST_PROCESSES:
        why = f"{counts[0]} and {counts[1]} processes: an interval needs {LEAST_PROCESSES} of each"
        return TimeRatio(b.p50_ns / a.p50_ns, None, None, "no verdict", why)
    low, high = _interval(a, b)
    verdict: Speed = "no difference seen"
    if high < 1.0:
        verdict = "faster"
    elif low > 1.0:
        verdict = "slower"
    return TimeRatio(b.p50_ns / a.p50_ns, low, high, verdict)


def _run_otherwise(a: Measurement, b: Measurement) -> list[str]:
    """Differences of how the same runtime ran; another runtime is what is compared."""
    found = []
    if a.part != b.part:
        found.append(f"part ({a.part} and {b.part})")
    if a.runtime == b.runtime and a.version != b.version:
        found.append(f"{a.runtime} ({a.version} and {b.version})")
    warm = [sorted({process.warmups for process in m.processes}) for m in (a, b)]
    if warm[0] != warm[1]:
        found.append(f"warm-ups ({_text(warm[0])} and {_text(warm[1])})")
    return found


def _text(numbers: list[int]) -> str:
    return " or ".join(map(str, numbers))


def _interval(a: Measurement, b: Measurement) -> tuple[float, float]:
    """Percentiles of the ratio over processes drawn with replacement, on each side alone."""
    generator = np.random.default_rng(0)
    ratios = _medians(b, generator) / _medians(a, generator)
    low, high = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _calls(m: Measurement) -> list[NDArray[np.float64]]:
    """The timed calls of each process that has any."""
    return [np.asarray(p.samples_ns, np.float64) for p in m.processes if p.samples_ns]


def _medians(m: Measurement, generator: np.random.Generator) -> NDArray[np.float64]:
    """The median call of each draw of processes [DRAWS]."""
    calls = _calls(m)
    drawn = generator.integers(len(calls), size=(DRAWS, len(calls)))
    if len({each.size for each in calls}) == 1:  # The usual case, twenty times as fast.
        return np.asarray(np.median(np.stack(calls)[drawn].reshape(DRAWS, -1), axis=1))
    return np.array([np.median(np.concatenate([calls[i] for i in row])) for row in drawn])
