"""Timings from a program that prints only averages, such as LiteRT's ``benchmark_model``.

`tinyml.core.measurement.Measurement` does not fit: there are no samples to compute percentiles from
and no CPU times, so `tinyml compare` has no verdict about it.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from tinyml.core.measurement import Conditions, Label, median
from tinyml.core.timing_plan import TimingPlan

# Android's names of its thermal statuses, from 0.
THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclass(frozen=True, slots=True)
class PhoneState:
    """One reading of what can disturb a timing on a phone; ``None`` is unknown.

    thermal_status  Android's: 0 where it does not throttle, see `THERMAL`
    battery_mc      temperature of the battery, in thousandths of a degree Celsius
    low_power       whether the battery saver is on
    is_charging     whether a charger or the USB cable powers it
    """

    thermal_status: int | None = None
    battery_percent: int | None = None
    battery_mc: int | None = None
    low_power: bool | None = None
    is_charging: bool | None = None

    @property
    def disturbs(self) -> str:
        """What of it makes a time meaningless; empty where nothing is known to."""
        if self.thermal_status:
            return f"the phone throttles: thermal status {thermal_text(self.thermal_status)}"
        return "the battery saver is on" if self.low_power else ""

    @property
    def battery_text(self) -> str:
        """``81% at 28 °C, charging``."""
        level = "unknown" if self.battery_percent is None else f"{self.battery_percent}%"
        heat = "" if self.battery_mc is None else f" at {self.battery_mc / 1000:.0f} °C"
        return f"{level}{heat}{', charging' if self.is_charging else ''}"


def thermal_text(status: int | None) -> str:
    """``2 (moderate)``."""
    if status is None:
        return "unknown"
    return f"{status} ({THERMAL[status]})" if 0 <= status < len(THERMAL) else f"{status}"


@dataclass(frozen=True, slots=True)
class AverageProcess:
    """One process of the program: its statistics over ``calls`` timed calls.

    The program rounds to whole microseconds, its mean to six digits. ``median_ns`` is ``None`` for
    versions that do not print it; ``warmups``: calls before; ``load_ns``, ``first_ns``: opening the
    file, the first call. ``discarded``: why it does not count; empty where it does.
    """

    calls: int
    mean_ns: float
    min_ns: int
    max_ns: int
    std_ns: int
    median_ns: int | None = None
    load_ns: int | None = None
    first_ns: int | None = None
    warmups: int | None = None
    before: PhoneState = PhoneState()
    after: PhoneState = PhoneState()
    turn: int = 0
    discarded: str = ""


@dataclass(frozen=True, slots=True)
class AverageTiming:
    """One model file, timed by ``program`` in several processes that took turns.

    part, delegate, plan  as in `tinyml.core.measurement.Measurement`
    program_sha256        of the program's file, which has no version
    processes             all of them, in order; those that do not count hold why
    """

    model: str
    model_sha256: str
    part: str
    runtime: str
    program: str
    program_sha256: str
    processes: tuple[AverageProcess, ...]
    conditions: Conditions
    label: Label
    plan: TimingPlan
    delegate: str | None = None

    @property
    def valid(self) -> tuple[AverageProcess, ...]:
        """The processes that count."""
        return tuple(own for own in self.processes if not own.discarded)

    @property
    def mean_ns(self) -> float | None:
        """The mean of the processes' means; ``None``, as of all that follow, where none counts."""
        means = [own.mean_ns for own in self.valid]
        return statistics.fmean(means) if means else None

    @property
    def range_ns(self) -> tuple[float, float] | None:
        """The smallest and the largest mean of a process."""
        means = [own.mean_ns for own in self.valid]
        return (min(means), max(means)) if means else None

    @property
    def min_ns(self) -> int | None:
        """The fastest call."""
        return min((own.min_ns for own in self.valid), default=None)

    @property
    def max_ns(self) -> int | None:
        """The slowest call."""
        return max((own.max_ns for own in self.valid), default=None)

    @property
    def load_ns(self) -> float | None:
        """The median over processes."""
        return median([own.load_ns for own in self.valid if own.load_ns is not None])

    @property
    def first_ns(self) -> float | None:
        """The median over processes."""
        return median([own.first_ns for own in self.valid if own.first_ns is not None])
