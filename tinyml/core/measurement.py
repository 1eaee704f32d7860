"""How long a model took: raw samples and the conditions they were taken under.

Statistics are properties, computed from the samples each time and never stored.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from tinyml.core.errors import DeviceError

Label = Literal["host", "emulated", "device"]
WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Process:
    """One fresh process.

    samples_ns   timed calls, in order, after the first call and the warm-ups
    load_ns      opening the file until it can run
    first_ns     the first call
    peak_rss_kb  largest resident set, the runtime's and Python's own included
    loadavg      the machine's one-minute load average before and after
    """

    samples_ns: tuple[int, ...]
    warmups: int
    load_ns: int
    first_ns: int
    peak_rss_kb: int | None
    loadavg: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a timing depends on, as the runner finds it; ``None`` is unknown.

    cores  those that the process may use; ``numpy``: its version
    """

    cpu: str | None = None
    board: str | None = None
    arch: str | None = None
    cores: int | None = None
    governor: str | None = None
    system: str | None = None
    python: str | None = None
    numpy: str | None = None


@dataclass(frozen=True, slots=True)
class Conditions(Machine):
    """What must be equal for two measurements to be compared; ``device``: the link's name."""

    device: str | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model file in one runtime, timed in several processes.

    model       the file's name; ``model_sha256`` its content
    part        ``whole``, ``front end`` ...: what of the model the file holds
    version     of the runtime
    label       where it ran; only ``device`` is a latency of the board
    """

    model: str
    model_sha256: str
    part: str
    runtime: str
    version: str
    processes: tuple[Process, ...]
    conditions: Conditions
    label: Label

    def __post_init__(self) -> None:
        if not any(process.samples_ns for process in self.processes):
            raise DeviceError(f"{self.model}: no call was timed")

    @property
    def samples_ns(self) -> tuple[int, ...]:
        """Every timed call, process after process."""
        return tuple(ns for process in self.processes for ns in process.samples_ns)

    @property
    def p50_ns(self) -> float:
        """The median call."""
        return float(np.percentile(self.samples_ns, 50))

    @property
    def p90_ns(self) -> float:
        """One call in ten takes longer."""
        return float(np.percentile(self.samples_ns, 90))

    @property
    def load_ns(self) -> float:
        """The median over processes."""
        return statistics.median(process.load_ns for process in self.processes)

    @property
    def first_ns(self) -> float:
        """The median over processes."""
        return statistics.median(process.first_ns for process in self.processes)

    @property
    def peak_rss_kb(self) -> int | None:
        """The largest over processes; ``None`` when the system does not say."""
        known = [p.peak_rss_kb for p in self.processes if p.peak_rss_kb is not None]
        return max(known) if known else None

    def differences(self, other: Measurement) -> list[str]:
        """Each condition in which the two differ, with both values."""
        mine = {**asdict(self.conditions), "label": self.label}
        theirs = {**asdict(other.conditions), "label": other.label}
        return sorted(
            f"{key} ({mine[key]} and {theirs[key]})" for key in mine if mine[key] != theirs[key]
        )

    def check_comparable(self, other: Measurement) -> None:
        """Raise `DeviceError` naming the conditions in which the two differ."""
        if differ := self.differences(other):
            raise DeviceError(
                f"results differ in {', '.join(differ)}: not comparable",
                hint="measure both in one run",
            )


@dataclass(frozen=True, slots=True)
class TimeDifference:
    """The time of what ``whole`` does after ``front_end``, a part of the same file.

    It is not timed: it is the difference of two measurements whose processes took turns
    (`tinyml.device.measure`). A runtime may fuse across the cut, so it is an estimate,
    and is to be shown as one.
    """

    whole: Measurement
    front_end: Measurement

    def __post_init__(self) -> None:
        self.whole.check_comparable(self.front_end)
        if (self.whole.runtime, self.whole.version) != (
            self.front_end.runtime,
            self.front_end.version,
        ):
            raise DeviceError("the whole and its front end were run by different runtimes")
        if len(self.whole.processes) != len(self.front_end.processes):
            raise DeviceError("the whole and its front end were run in different numbers of turns")

    @property
    def per_turn_ns(self) -> tuple[float, ...]:
        """Median of the whole less median of the front end, turn by turn."""
        pairs = zip(self.whole.processes, self.front_end.processes, strict=True)
        return tuple(
            statistics.median(whole.samples_ns) - statistics.median(part.samples_ns)
            for whole, part in pairs
        )

    @property
    def p50_ns(self) -> float:
        """The median over turns; negative when the part is below the noise."""
        return statistics.median(self.per_turn_ns)

    @property
    def range_ns(self) -> tuple[float, float]:
        """The smallest and the largest turn."""
        return min(self.per_turn_ns), max(self.per_turn_ns)
