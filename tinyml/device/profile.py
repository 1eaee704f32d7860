"""A model file in its runtime's profiler, in one process of the runner."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinyml.core.errors import DeviceError
from tinyml.core.timing_plan import TimingPlan
from tinyml.device.link import Link
from tinyml.device.measure import Job, runner_command
from tinyml.device.runner_command import push_runner
from tinyml.device.runner_output import read_as
from tinyml.runtimes.profile_layers import Entry
from tinyml.runtimes.runner.profile_litert import TESTED


@dataclass(frozen=True, slots=True)
class ProfilerTimes:
    """Medians of whole calls without and with the profiler, and what it lists; as in `Profile`."""

    calls: int
    unprofiled_ns: float
    unprofiled_cpu_ns: float
    profiled_ns: float
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if min(self.calls, self.unprofiled_ns, self.profiled_ns) <= 0 or not self.entries:
            raise DeviceError("there is nothing in the profile")
        if min(own.ns for own in self.entries) < 0:
            raise DeviceError("a time is negative")


@dataclass(frozen=True, slots=True)
class ProfileLine:
    """The line that the runner prints with ``--profile``."""

    version: str
    threads: int
    profile: ProfilerTimes


def has_profiler(runtime: str, version: str) -> bool:
    """Whether the runner can use a profiler of ``runtime``."""
    return runtime == "onnxruntime" or (runtime == "litert" and version in TESTED)


def profile_once(
    link: Link, job: Job, plan: TimingPlan, *, timeout_s: float = 600.0
) -> ProfileLine:
    """One process of ``job``; `DeviceError` where it fails."""
    timed = replace(job, states=None, power=None)
    command = runner_command(link, timed, "profile", push_runner(link), plan)
    result = link.run(replace(command, profile=True).arguments(link), timeout_s=timeout_s)
    return read_as(ProfileLine, "profile", result, job.title, link.name)
