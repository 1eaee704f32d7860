"""Is one model file faster than another? The ratio of their medians, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinyml.core.measurement import Measurement, Process
from tinyml.core.validity import why_too_few

# Calls of a process resemble each other (some starts are slow for their whole life), so
# turns or processes are what is drawn. The bootstrap of so few is too narrow for its name: for
# equal files the 99% interval leaves out 1 in 8% of comparisons of five turns, in 3% of seven and
# in 2% of twelve (`in_turns` of tests/core/test_time_ratio.py, 600 comparisons); `MARGIN` allows
# for it.
LEVEL = 0.99
LEAST_PROCESSES = 5
DRAWS = 2000
# A smaller difference is none: addresses of code and data alone may make it.
MARGIN = 0.05
# Each process stands for as many calls, however many it timed.
QUANTILES = 101

# Quantiles of the timed calls of each process [processes, QUANTILES].
Calls = NDArray[np.float64]

Speed = Literal["faster", "slower", "no difference shown", "no verdict"]


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

    def is_undecided(self, margin: float = MARGIN) -> bool:
        """Whether the ratio is beyond ``margin`` of 1, and a part of its interval is not.

        More turns make the interval narrower.
        """
        if self.ratio is None or self.low is None or self.high is None:
            return False
        if self.ratio > 1 + margin:
            return self.low <= 1 + margin
        return self.ratio < 1 - margin and self.high >= 1 - margin


def time_ratio(a: Measurement, b: Measurement) -> TimeRatio:
    """Compare ``b`` with ``a``; a verdict only for equal conditions and enough processes."""
    if differ := [*a.differences(b), *_run_otherwise(a, b)]:
        return TimeRatio(None, None, None, "no verdict", f"they differ in {', '.join(differ)}")
    counts = len(_calls(a)), len(_calls(b))
    if min(counts) < LEAST_PROCESSES:
        return TimeRatio(_ratio(a, b), None, None, "no verdict", _too_few(a, b, counts))
    low, high = _interval(a, b)
    verdict: Speed = "no difference shown"
    if high < 1 - MARGIN:
        verdict = "faster"
    elif low > 1 + MARGIN:
        verdict = "slower"
    return TimeRatio(_ratio(a, b), low, high, verdict)


def _too_few(a: Measurement, b: Measurement, counts: tuple[int, int]) -> str:
    """The machine's fault where processes of the side that has fewer were discarded."""
    fewer = min((a, b), key=lambda m: len(m.processes))
    needed = f"an interval needs {LEAST_PROCESSES} of each"
    return why_too_few(fewer) or f"{counts[0]} and {counts[1]} processes: {needed}"


def _run_otherwise(a: Measurement, b: Measurement) -> list[str]:
    """Differences of how the same runtime ran; another runtime is what is compared."""
    found = []
    if a.part != b.part:
        found.append(f"part ({a.part} and {b.part})")
    if a.runtime == b.runtime and a.version != b.version:
        found.append(f"{a.runtime} ({a.version} and {b.version})")
    if a.runtime == b.runtime and a.delegate != b.delegate:
        found.append(f"delegate ({a.delegate or 'default'} and {b.delegate or 'default'})")
    found += [f"{name} ({x} and {y})" for name, x, y in _timings(a, b) if x != y]
    return found


def _timings(a: Measurement, b: Measurement) -> list[tuple[str, object, object]]:
    """How the calls of both were timed; older files only tell how many warmed up."""
    if a.plan is not None and b.plan is not None:
        values = zip(fields(a.plan), astuple(a.plan), astuple(b.plan), strict=True)
        return [(own.name, x, y) for own, x, y in values]
    if a.plan is not None or b.plan is not None:
        known = ["known" if m.plan else "unknown" for m in (a, b)]
        return [("timing plan", known[0], known[1])]
    warm = [_text(sorted({process.warmups for process in m.processes})) for m in (a, b)]
    return [("warm-ups", warm[0], warm[1])]


def _text(numbers: list[int]) -> str:
    return " or ".join(map(str, numbers))


def _interval(a: Measurement, b: Measurement) -> tuple[float, float]:
    """Percentiles of the ratio over what is drawn with replacement: turns in which both count.

    A turn's processes share the state of the machine, so that its drift cancels out. With too few
    such turns, processes are drawn, on each side alone.
    """
    generator = np.random.default_rng(0)
    if (turns := _turns(a, b)) is not None:
        drawn = generator.integers(len(turns[0]), size=(DRAWS, len(turns[0])))
        of_a, of_b = (_medians(calls, drawn) for calls in turns)
    else:
        of_b, of_a = (
            _medians(calls, generator.integers(len(calls), size=(DRAWS, len(calls))))
            for calls in (_calls(b), _calls(a))
        )
    low, high = np.quantile(of_b / of_a, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _turns(a: Measurement, b: Measurement) -> tuple[Calls, Calls] | None:
    """The calls of the turns in which both count; ``None`` where they are too few."""
    of_a, of_b = ({p.turn: p for p in m.processes if p.samples_ns} for m in (a, b))
    both = [turn for turn in of_a if turn is not None and turn in of_b]
    if len(both) < LEAST_PROCESSES:
        return None
    return _quantiles([of_a[turn] for turn in both]), _quantiles([of_b[turn] for turn in both])


def _ratio(a: Measurement, b: Measurement) -> float | None:
    if not a.samples_ns or not b.samples_ns:
        return None
    of_a, of_b = (float(np.median(_calls(m))) for m in (a, b))
    return of_b / of_a


def _calls(m: Measurement) -> Calls:
    """Those of each process that has any."""
    return _quantiles([process for process in m.processes if process.samples_ns])


def _quantiles(processes: Sequence[Process]) -> Calls:
    places = (np.arange(QUANTILES) + 0.5) / QUANTILES
    own = [np.quantile(process.samples_ns, places) for process in processes]
    return np.stack(own) if own else np.empty((0, QUANTILES))


def _medians(calls: Calls, drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """The median call of each draw of processes [DRAWS]."""
    return np.asarray(np.median(calls[drawn].reshape(len(drawn), -1), axis=1))
