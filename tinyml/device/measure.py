"""Fresh processes that take turns in a seeded random order, over any link.

Within a turn every job runs once, so that a machine that warms up or gets busy does so
for all of them alike.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tinyml.core.array_files import write_npz
from tinyml.core.errors import DeviceError, ValidationError
from tinyml.core.files import sha256
from tinyml.core.machine_state import MachineState
from tinyml.core.measurement import WHOLE, Conditions, Machine, Measurement, Process
from tinyml.core.scratch import scratch
from tinyml.core.spec import Arrays
from tinyml.core.timing_plan import FULL, TimingPlan
from tinyml.core.typed_json import from_json
from tinyml.core.validity import split
from tinyml.device.link import CommandResult, Link
from tinyml.runtimes.runner_archive import NAME, write_archive

MOST_TURNS = 2  # Times as many as asked for.
# A process in which it changed is discarded.
JUDGED = {"governor"}
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class RunnerOutput:
    """The line that the runner prints; its fields as in `Process`."""

    model_sha256: str
    version: str
    threads: int
    delegate: str | None
    precision: str
    samples_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    calls: int
    elapsed_ns: int
    warmups: int
    is_stable: bool | None
    load_ns: int
    first_ns: int
    peak_rss_kb: int | None
    before: MachineState
    after: MachineState
    machine: Machine


@dataclass(frozen=True, slots=True)
class Job:
    """A model file to time in a runtime, on ``inputs``.

    ``states`` are input -> output: the output of a call is the input of the next. ``cpu`` is the
    one core to use; ``delegate`` is ``none`` to switch off the runtime's own.
    """

    path: Path
    runtime: str
    inputs: Arrays
    part: str = WHOLE
    states: Mapping[str, str] | None = None
    threads: int = 1
    cpu: int | None = None
    delegate: str | None = None

    @property
    def title(self) -> str:
        return f"{self.path.name}, {self.part}, {self.runtime}"


def measure(
    link: Link,
    jobs: Sequence[Job],
    repeats: int = 5,
    *,
    plan: TimingPlan = FULL,
    timeout_s: float = 600.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Measurement]:
    """One `Measurement` per job, in the order of ``jobs``: ``repeats`` processes that count, each.

    Turns are added while a job has too few, `MOST_TURNS` times as many at most: a process on a
    busy machine does not count (`tinyml.core.validity`). ``progress(title, done, total)`` is called
    before each process. Raises `DeviceError` when a process fails, `ValidationError` when a file
    changed on its way.
    """
    commands = _push(link, jobs, plan)
    order = random.Random(seed)
    results: list[list[RunnerOutput]] = [[] for _ in jobs]
    measured: list[Measurement] = []
    for turn in range(MOST_TURNS * repeats):
        total = max(repeats, turn + 1) * len(jobs)
        for place, index in enumerate(order.sample(range(len(jobs)), len(jobs))):
            if progress:
                progress(jobs[index].title, turn * len(jobs) + place, total)
            result = link.run(commands[index], timeout_s=timeout_s)
            results[index].append(_line(jobs[index], result))
        if turn + 1 >= repeats:
            measured = [
                _measurement(job, found, link, plan)
                for job, found in zip(jobs, results, strict=True)
            ]
            if all(len(m.processes) >= repeats for m in measured):
                break
    return measured


def _push(link: Link, jobs: Sequence[Job], plan: TimingPlan) -> list[list[str]]:
    """Put the runner and every job's files there; the command of each job."""
    with scratch("runner") as folder:
        write_archive(folder / NAME)
        script = link.push(folder / NAME, NAME)
    return [_command(link, job, index, script, plan) for index, job in enumerate(jobs)]


def _command(link: Link, job: Job, index: int, script: str, plan: TimingPlan) -> list[str]:
    model = link.push(job.path, f"{index}-{job.path.name}")
    with scratch("inputs") as folder:
        path = folder / "inputs.npz"
        write_npz(path, job.inputs)
        inputs = link.push(path, f"{index}-inputs.npz")
    options = {
        "runtime": job.runtime,
        "inputs": inputs,
        "threads": job.threads,
        "cpu": job.cpu,
        "delegate": job.delegate,
        "warmup": plan.warmups,
        "runs": plan.min_samples,
        "min-time": plan.min_time_s,
        "max-time": plan.max_time_s,
    }
    command = [link.python, script, model]
    for name, value in options.items():
        command += [f"--{name}", str(value)] if value is not None else []
    for into, out in (job.states or {}).items():
        command += ["--state", f"{into}={out}"]
    return command


def _line(job: Job, result: CommandResult) -> RunnerOutput:
    """The runner's line; whatever else a process left is the error."""
    lines = result.stdout.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        found = {}
    if "error" in found:
        raise DeviceError(f"{job.title}: {found['error']}")
    if result.code != 0 or "samples_ns" not in found:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        how = f"was killed by signal {-result.code}" if result.code < 0 else f"ended {result.code}"
        raise DeviceError(f"{job.title}: the process {how}: {last}")
    run = from_json(RunnerOutput, found, what=f"{job.title}: the runner's line", error=DeviceError)
    if run.model_sha256 != sha256(job.path):
        raise ValidationError(f"{job.path.name} is another file on the device than here")
    return run


def _measurement(
    job: Job, found: Sequence[RunnerOutput], link: Link, plan: TimingPlan
) -> Measurement:
    first = found[0]
    machine = asdict(first.machine)
    for other in found[1:]:
        own = asdict(other.machine)
        if changed := [name for name in own.keys() - JUDGED if own[name] != machine[name]]:
            raise DeviceError(
                f"{job.title}: {', '.join(sorted(changed))} changed between the processes"
            )
    conditions = Conditions(**machine, device=link.name, threads=first.threads, pinned_cpu=job.cpu)
    processes = [_process(line, turn) for turn, line in enumerate(found)]
    valid, discarded = split(processes, conditions)
    return Measurement(
        model=job.path.name,
        model_sha256=first.model_sha256,
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


def _process(run: RunnerOutput, turn: int) -> Process:
    recorded = {own.name for own in fields(RunnerOutput)}
    names = [own.name for own in fields(Process) if own.name in recorded]
    return Process(**{name: getattr(run, name) for name in names}, turn=turn)
