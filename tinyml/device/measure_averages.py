"""Model files timed by ``benchmark_model`` on a phone: fresh processes that take turns.

The turns are those of `tinyml.device.measure`; what comes of them are averages.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tinyml.core.averages import AverageProcess, AverageTiming, PhoneState
from tinyml.core.errors import DeviceError
from tinyml.core.files import sha256
from tinyml.core.interruption import pause
from tinyml.core.measurement import Conditions
from tinyml.core.timing_plan import FULL, TimingPlan
from tinyml.device.android import (
    PhoneFacts,
    PhoneSettings,
    check_copied,
    phone_facts,
    phone_state,
    settings_for_timing,
)
from tinyml.device.benchmark_model import (
    NAME,
    arguments,
    check_program,
    push_program,
    read_output,
)
from tinyml.device.link import Link
from tinyml.device.measure import MOST_TURNS, Job, Progress, check_unchanged

# How long a phone that throttles may cool down, in all, and how often it is asked.
COOLING_S = 300.0
ASK_EVERY_S = 10.0
Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class AverageResult:
    """What came of a job; after a ``failure``, of the processes before it, if there are any."""

    timing: AverageTiming | None
    failure: DeviceError | None = None


@dataclass(slots=True)
class _Cooling:
    """The waits of one run, of ``left_s`` seconds in all."""

    sleep: Sleep
    left_s: float = COOLING_S

    def wait(self, link: Link) -> PhoneState:
        """Until the phone does not throttle, or nothing is left; its state then."""
        while (state := phone_state(link)).thermal_status and self.left_s > 0:
            self.sleep(ASK_EVERY_S)
            self.left_s -= ASK_EVERY_S
        return state


@dataclass(slots=True)
class _Running:
    """A job with its command and what its processes left so far."""

    job: Job
    digest: str
    command: list[str]
    plan: TimingPlan
    processes: list[AverageProcess] = field(default_factory=list)
    failure: DeviceError | None = None

    @property
    def valid(self) -> int:
        return sum(not own.discarded for own in self.processes)

    def run(self, link: Link, turn: int, cooling: _Cooling) -> None:
        """One process, between two readings of a phone that is cool; its failure is kept."""
        job, longest = self.job, 3 * self.plan.max_time_s + 60
        try:
            before = cooling.wait(link)
            done = link.run(self.command, timeout_s=longest)
            found = read_output(done, job.title, delegate=job.delegate)
            after = phone_state(link)
        except DeviceError as error:
            self.failure = error
            return
        why = before.disturbs or after.disturbs
        process = replace(found, before=before, after=after, turn=turn, discarded=why)
        self.processes.append(process)


def measure_averages(
    link: Link,
    jobs: Sequence[Job],
    program: Path,
    repeats: int = 5,
    *,
    plan: TimingPlan = FULL,
    seed: int = 0,
    progress: Progress | None = None,
    sleep: Sleep = pause,
) -> list[AverageResult]:
    """A result per job, in the order of ``jobs``, all of them .tflite files.

    A process on a phone that throttled does not count: it is repeated after cooling down, within
    `MOST_TURNS` times ``repeats`` turns. The phone's settings are restored at the end. Raises
    `InputError` for a ``program`` that cannot run there.
    """
    facts = phone_facts(link)
    check_program(program, facts.abi)
    running = _push(link, jobs, program, plan)
    with settings_for_timing(link, facts) as settings:
        _take_turns(link, running, repeats, random.Random(seed), progress, sleep)
    _note_what_is_left(running, settings)
    for own in running:
        check_unchanged(own.job.path, own.digest)
    return [_result(own, link, facts, sha256(program)) for own in running]


def _push(link: Link, jobs: Sequence[Job], program: Path, plan: TimingPlan) -> list[_Running]:
    there = push_program(link, program)
    running = []
    for index, job in enumerate(jobs):
        digest, own = sha256(job.path), job.plan or plan
        model = link.push(job.path, f"{index}-{job.path.name}")
        check_copied(link, model, digest)
        command = arguments(
            there, model, own, threads=job.threads, delegate=job.delegate, cpu=job.cpu
        )
        running.append(_Running(job, digest, command, own))
    return running


def _take_turns(
    link: Link,
    running: Sequence[_Running],
    repeats: int,
    order: random.Random,
    progress: Progress | None,
    sleep: Sleep,
) -> None:
    cooling = _Cooling(sleep)
    for turn in range(MOST_TURNS * repeats):
        lacking = [own for own in running if own.failure is None and own.valid < repeats]
        total = max(repeats, turn + 1) * len(running)
        for place, own in enumerate(order.sample(lacking, len(lacking))):
            if progress:
                progress(own.job.title, turn * len(running) + place, total)
            own.run(link, turn, cooling)


def _note_what_is_left(running: Sequence[_Running], settings: PhoneSettings) -> None:
    """With the failure for which settings were not restored; else it is one itself."""
    if not settings.left:
        return
    failures = [own.failure for own in running if own.failure is not None]
    if failures:
        failures[0].details.append(f"{settings.error.message}: {settings.error.hint}")
    else:
        running[0].failure = settings.error


def _result(own: _Running, link: Link, facts: PhoneFacts, program_sha256: str) -> AverageResult:
    if not own.processes:
        return AverageResult(None, own.failure)
    job = own.job
    conditions = Conditions(
        cpu=facts.soc,
        board=facts.model,
        arch=facts.abi,
        cores=facts.cores,
        system=facts.system,
        device=link.name,
        threads=job.threads,
        pinned_cpu=job.cpu,
    )
    timing = AverageTiming(
        model=job.path.name,
        model_sha256=own.digest,
        part=job.part,
        runtime=job.runtime,
        program=NAME,
        program_sha256=program_sha256,
        processes=tuple(own.processes),
        conditions=conditions,
        label=link.label,
        plan=own.plan,
        delegate=job.delegate,
    )
    return AverageResult(timing, own.failure)
