"""How `tinyml bench` and `tinyml compare` time model files, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinyml.core.timing_plan import FULL, TimingPlan
from tinyml.device.measure import Job
from tinyml.pipeline.links import HOST


@dataclass(frozen=True, slots=True)
class Timing:
    """``repeats`` fresh processes of each file, with each of the numbers of ``threads``.

    cpu       the one core to use; ``delegate``: ``none`` switches off the runtime's own
    target    the machine
    """

    repeats: int = 5
    plan: TimingPlan = FULL
    threads: tuple[int, ...] = (1,)
    cpu: int | None = None
    delegate: str | None = None
    target: str = HOST

    def jobs(self, jobs: Sequence[Job]) -> list[Job]:
        """``jobs``, each with these settings, one after the other for each number of threads."""
        return [
            replace(job, threads=threads, cpu=self.cpu, delegate=self.delegate)
            for job in jobs
            for threads in self.threads
        ]
