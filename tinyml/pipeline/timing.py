"""How `tinyml bench` and `tinyml compare` time model files, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.measurement import WHOLE
from tinyml.core.target import find_target
from tinyml.core.timing_plan import FULL, BetweenCalls, TimingPlan
from tinyml.device.measure import Job


@dataclass(frozen=True, slots=True)
class Timing:
    """``repeats`` fresh processes of each file, with each of the numbers of ``threads``.

    threads   none: those of the device's target
    cpu       the one core to use; ``delegate``: ``none`` switches off the runtime's own
    period_s  time the whole as deployed too: once in so many seconds; ``between``: see `TimingPlan`
    device    the machine; ``benchmark_model``: the program that runs models on a phone
    power     where watts come from (`tinyml.core.power.Power`), for whole files
    """

    repeats: int = 5
    plan: TimingPlan = FULL
    threads: tuple[int, ...] = (1,)
    cpu: int | None = None
    delegate: str | None = None
    period_s: float | None = None
    between: BetweenCalls = "sleep"
    device: Device = THIS_MACHINE
    profile: bool = False
    benchmark_model: Path | None = None
    power: str | None = None

    def jobs(self, jobs: Sequence[Job]) -> list[Job]:
        """``jobs``, each with these settings, one after the other for each number of threads.

        With a ``period``, each whole file also as deployed.
        """
        given = [
            replace(
                job,
                threads=threads,
                cpu=self.cpu,
                delegate=self.delegate,
                power=self.power if job.part == WHOLE else None,
            )
            for job in jobs
            for threads in self.threads or (find_target(self.device.target).threads,)
        ]
        if self.period_s is None:
            return given
        paced = replace(self.plan, period_s=self.period_s, between=self.between)
        whole = [job for job in given if job.part == WHOLE]
        return [*given, *(replace(job, plan=paced, power=None) for job in whole)]
