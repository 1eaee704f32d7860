"""How long a model took: raw samples and the conditions they were taken under.

Statistics are properties, computed from the samples each time and never stored.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from tinyml.core.errors import DeviceError
from tinyml.core.machine_state import UNKNOWN, UNREAD, MachineState, Meanwhile
from tinyml.core.power import Power
from tinyml.core.timing_plan import TimingPlan

Label = Literal["host", "emulated", "device"]
Clock = Literal["wall", "cpu"]
WHOLE = "whole"
LEAST_FOR_P99 = 1000


@dataclass(frozen=True, slots=True)
class Process:
    """One fresh process.

    samples_ns      wall time of the timed calls, in order, after the first call and the warm-up
    warmups         calls before them, the first one not counted; ``is_stable``: whether their
                    time settled; ``None`` where their number was fixed
    load_ns         opening the file until it can run
    first_ns        the first call
    peak_rss_kb     largest resident set, the runtime's and Python's own included
    cpu_ns          CPU time of the same calls: of their thread, or of the whole process where the
                    runtime has several threads. Empty where it was not recorded
    calls           timed calls; of very many, ``samples_ns`` holds an even part
    elapsed_ns      from before the first to after the last of them
    before, after   the machine around them; ``meanwhile``: between them
    power           what the board drew in calls that are not timed, where that was asked for
    turn            the processes of one turn ran one after the other
    """

    samples_ns: tuple[int, ...]
    warmups: int
    load_ns: int
    first_ns: int
    peak_rss_kb: int | None
    cpu_ns: tuple[int, ...] = ()
    calls: int | None = None
    elapsed_ns: int | None = None
    is_stable: bool | None = None
    before: MachineState = UNKNOWN
    after: MachineState = UNKNOWN
    turn: int | None = None
    power: Power | None = None
    meanwhile: Meanwhile = UNREAD


@dataclass(frozen=True, slots=True)
class Discarded:
    """A process that does not count (`tinyml.core.validity`), and why.

    kind  ``busy``: others took part of its time, but its CPU time can be used; ``changed``: the
          machine did, and no time can
    """

    process: Process
    kind: Literal["busy", "changed"]
    reason: str


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
    """What must be equal for two measurements to be compared.

    device      the link's name
    pinned_cpu  the one core that the process was kept on, if it was
    """

    device: str | None = None
    threads: int | None = None
    pinned_cpu: int | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model file in one runtime, timed in several processes.

    model       the file's name; ``model_sha256`` its content
    part        ``whole``, ``front end`` ...: what of the model the file holds
    version     of the runtime
    processes   those that count; ``discarded``: the others
    label       where it ran; only ``device`` is a latency of the board
    plan        how each process timed its calls; ``None`` in older files
    delegate    ``none`` where the runtime's own was switched off
    precision   what the runtime really computed in; empty where it does not tell
    clock       ``cpu``: ``samples_ns`` are CPU times, see `on_cpu_clock`
    """

    model: str
    model_sha256: str
    part: str
    runtime: str
    version: str
    processes: tuple[Process, ...]
    conditions: Conditions
    label: Label
    plan: TimingPlan | None = None
    delegate: str | None = None
    precision: str = ""
    discarded: tuple[Discarded, ...] = ()
    clock: Clock = "wall"

    def __post_init__(self) -> None:
        if not any(process.samples_ns for process in self.all_processes):
            raise DeviceError(f"{self.model}: no call was timed")

    @property
    def pace(self) -> str:
        """When its calls were made: empty where one follows the other."""
        return self.plan.pace if self.plan is not None else ""

    @property
    def setup(self) -> tuple[int | None, str, str | None]:
        """Threads, pace and device: what may vary, and a pair to compare has in common."""
        return self.conditions.threads, self.pace, self.conditions.device

    @property
    def part_title(self) -> str:
        """``part``, and whether it was timed as deployed."""
        return f"{self.part}, as deployed" if self.pace else self.part

    @property
    def all_processes(self) -> tuple[Process, ...]:
        """Those that count, then those that do not."""
        return (*self.processes, *(own.process for own in self.discarded))

    def on_cpu_clock(self) -> Measurement:
        """The same calls with their CPU times, which other processes disturb less.

        Raises `DeviceError` where they were not recorded.
        """
        if self.clock == "cpu":
            return self
        busy = [own.process for own in self.discarded if own.kind == "busy"]
        found = sorted((*self.processes, *busy), key=lambda own: own.turn or 0)
        if not all(own.cpu_ns for own in found):
            raise DeviceError(
                f"the CPU time of {self.model} was not recorded", hint="measure it again"
            )
        return replace(
            self,
            processes=tuple(replace(own, samples_ns=own.cpu_ns) for own in found),
            discarded=tuple(own for own in self.discarded if own.kind != "busy"),
            clock="cpu",
        )

    @property
    def samples_ns(self) -> tuple[int, ...]:
        """Every timed call of the processes that count, process after process."""
        return tuple(ns for process in self.processes for ns in process.samples_ns)

    @property
    def min_ns(self) -> int | None:
        """The fastest call; ``None``, as of all that follow, where no process counts."""
        return min(self.samples_ns, default=None)

    @property
    def p50_ns(self) -> float | None:
        """The median call."""
        return self._percentile(50)

    @property
    def p90_ns(self) -> float | None:
        """One call in ten takes longer."""
        return self._percentile(90)

    @property
    def p99_ns(self) -> float | None:
        """One call in a hundred takes longer; ``None`` for fewer than `LEAST_FOR_P99` samples."""
        return self._percentile(99) if len(self.samples_ns) >= LEAST_FOR_P99 else None

    @property
    def variation(self) -> float | None:
        """Standard deviation over mean: the coefficient of variation (CV)."""
        samples = self.samples_ns
        return float(np.std(samples) / np.mean(samples)) if samples else None

    @property
    def calls_per_s(self) -> float | None:
        """Of calls one after the other: the throughput; ``None`` where they were not."""
        samples = self.samples_ns
        return len(samples) * 1e9 / sum(samples) if samples and not self.pace else None

    @property
    def load_ns(self) -> float | None:
        """The median over processes."""
        return median([process.load_ns for process in self.processes])

    @property
    def first_ns(self) -> float | None:
        """The median over processes."""
        return median([process.first_ns for process in self.processes])

    @property
    def peak_rss_kb(self) -> int | None:
        """The largest over all processes; ``None`` when the system does not say."""
        known = [p.peak_rss_kb for p in self.all_processes if p.peak_rss_kb is not None]
        return max(known, default=None)

    def _percentile(self, percent: float) -> float | None:
        samples = self.samples_ns
        return float(np.percentile(samples, percent)) if samples else None

    def differences(self, other: Measurement) -> list[str]:
        """Each condition in which the two differ, with both values."""
        mine, theirs = (
            {**asdict(own.conditions), "label": own.label, "clock": own.clock}
            for own in (self, other)
        )
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


def median(values: Sequence[float]) -> float | None:
    """Of ``values``; ``None`` of none."""
    return statistics.median(values) if values else None
