"""Fresh processes that take turns in a seeded random order, over any link.

Within a turn every job runs once, so that a machine that warms up or gets busy does so
for all of them alike.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tinyml.core.errors import DeviceError, ValidationError
from tinyml.core.files import sha256
from tinyml.core.measurement import WHOLE, Conditions, Measurement, Process
from tinyml.core.spec import Arrays
from tinyml.core.timing_plan import FULL, TimingPlan
from tinyml.core.validity import split
from tinyml.device.conditions import read_conditions
from tinyml.device.cooling import Cooling
from tinyml.device.link import Link
from tinyml.device.program import Program
from tinyml.device.runner_command import RunnerCommand, push_inputs, push_runner
from tinyml.device.runner_output import RunnerOutput, check_same_machine, process_of, read_line

MOST_TURNS = 2  # Times as many as asked for.
Progress = Callable[[str, int, int], None]
# Whether more turns may answer what the results so far do not.
Undecided = Callable[[Sequence["JobResult"]], bool]


@dataclass(frozen=True, slots=True)
class Job:
    """A model file to time in a runtime, on ``inputs``.

    ``states`` are input -> output: the output of a call is the input of the next. ``cpu`` is the
    one core to use; ``delegate`` is ``none`` to switch off the runtime's own. ``plan``: its own, if
    it is not timed as the others. ``power``: where watts come from, see `tinyml.core.power.Power`.
    """

    path: Path
    runtime: str
    inputs: Arrays
    part: str = WHOLE
    states: Mapping[str, str] | None = None
    threads: int = 1
    cpu: int | None = None
    delegate: str | None = None
    plan: TimingPlan | None = None
    power: str | None = None

    @property
    def title(self) -> str:
        return f"{self.path.name}, {self.part}, {self.runtime}"


@dataclass(frozen=True, slots=True)
class JobResult:
    """What came of a job; after a ``failure``, of the processes that ran before it, if any did."""

    measurement: Measurement | None
    failure: DeviceError | None = None


@dataclass(slots=True)
class _Running:
    """A job, its command, and what its processes left so far."""

    job: Job
    digest: str
    command: list[str]
    lines: list[RunnerOutput] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    failure: DeviceError | None = None

    def run(self, link: Link, turn: int, timeout_s: float, cooling: Cooling) -> None:
        """One process, and the wait until the board is cool again; a failure is kept."""
        try:
            self._run(link, turn, timeout_s)
            cooling.after(self.processes[-1])
        except DeviceError as error:
            self.failure = error

    def _run(self, link: Link, turn: int, timeout_s: float) -> None:
        line = read_line(link.run(self.command, timeout_s=timeout_s), self.job.title)
        check_same_machine([*self.lines, line], self.job.title)
        if line.model_sha256 != self.digest:
            raise ValidationError(f"{self.job.path.name} is another file on the device than here")
        self.lines.append(line)
        self.processes.append(process_of(line, turn))

    def result(self, link: Link, plan: TimingPlan) -> JobResult:
        return JobResult(self._measurement(link, plan) if self.lines else None, self.failure)

    def _measurement(self, link: Link, plan: TimingPlan) -> Measurement:
        job, first = self.job, self.lines[0]
        conditions = Conditions(
            **asdict(first.machine), device=link.name, threads=first.threads, pinned_cpu=job.cpu
        )
        plan = job.plan or plan
        emulated = link.label == "emulated"
        valid, discarded = split(self.processes, conditions, plan, emulated=emulated)
        return Measurement(
            model=job.path.name,
            model_sha256=self.digest,
            part=job.part,
            runtime=job.runtime,
            version=first.version,
            processes=valid,
            conditions=conditions,
            label=link.label,
            plan=plan,
            delegate=first.delegate,
            precision=first.precision,
            discarded=discarded,
        )


def measure(
    link: Link,
    jobs: Sequence[Job],
    repeats: int = 5,
    *,
    plan: TimingPlan = FULL,
    timeout_s: float = 600.0,
    seed: int = 0,
    progress: Progress | None = None,
    undecided: Undecided = lambda _: False,
) -> list[JobResult]:
    """A result per job, in the order of ``jobs``: of ``repeats`` processes that count, each.

    A process on a busy machine does not count (`tinyml.core.validity`): turns are added while a job
    has too few, or ``undecided``; `MOST_TURNS` times as many at most, and none where no process
    counted so far. A job whose process fails ends; the others go on.
    ``progress(title, done, total)`` is called before each process, and while a board that was
    throttled cools down. Raises `ValidationError` when a file changed on its way or while it was
    timed.
    """
    runner = push_runner(link)
    running = _push(link, jobs, runner, plan)
    order = random.Random(seed)
    results: list[JobResult] = []
    done = total = 0

    def tell(text: str) -> None:
        if progress:
            progress(text, done, total)

    state = lambda: read_conditions(link, runner).state  # noqa: E731
    cooling = Cooling(state, tell, firmware_alone=link.label == "emulated")
    for turn in range(MOST_TURNS * repeats):
        total = max(repeats, turn + 1) * len(jobs)
        for place, own in enumerate(order.sample(running, len(running))):
            if own.failure is None:
                done = turn * len(jobs) + place
                tell(own.job.title)
                own.run(link, turn, timeout_s, cooling)
        if turn + 1 >= repeats:
            results = [own.result(link, plan) for own in running]
            if not any(own.measurement and own.measurement.processes for own in results):
                break
            if not any(_lacks(own, repeats) for own in results) and not undecided(results):
                break
    for own in running:
        check_unchanged(own.job.path, own.digest)
    return results


def measurements(results: Sequence[JobResult]) -> list[Measurement]:
    """Those of ``results``; raises the first failure."""
    for result in results:
        if result.failure is not None:
            raise result.failure
    return [result.measurement for result in results if result.measurement is not None]


def _lacks(result: JobResult, repeats: int) -> bool:
    """Whether another turn could help."""
    m = result.measurement
    return result.failure is None and m is not None and len(m.processes) < repeats


def check_unchanged(path: Path, digest: str) -> None:
    """Raise `ValidationError` unless the file still has the hash that it had before the timing."""
    if not path.is_file() or sha256(path) != digest:
        raise ValidationError(f"{path.name} was changed while it was timed", hint="run it again")


def _push(link: Link, jobs: Sequence[Job], runner: Program, plan: TimingPlan) -> list[_Running]:
    """Put every job's files there; each job with its command."""
    return [
        _Running(
            job,
            sha256(job.path),
            runner_command(link, job, f"{index}", runner, plan).arguments(link),
        )
        for index, job in enumerate(jobs)
    ]


def runner_command(
    link: Link, job: Job, name: str, runner: Program, plan: TimingPlan
) -> RunnerCommand:
    """A process of ``job``, whose files are put there; their names begin with ``name``."""
    return RunnerCommand(
        runner,
        link.push(job.path, f"{name}-{job.path.name}"),
        job.runtime,
        push_inputs(link, job.inputs, f"{name}-inputs.npz"),
        job.plan or plan,
        threads=job.threads,
        cpu=job.cpu,
        delegate=job.delegate,
        states=job.states,
        power=job.power,
    )
