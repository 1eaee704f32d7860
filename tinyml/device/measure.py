"""Fresh processes that take turns in a seeded random order, over any link.

Within a turn every job runs once, so that a machine that warms up or gets busy does so
for all of them alike.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.arrays import write_npz
from tinyml.core.errors import DeviceError, ValidationError
from tinyml.core.files import sha256
from tinyml.core.measurement import WHOLE, Measurement, Process
from tinyml.core.scratch import scratch
from tinyml.core.spec import Arrays
from tinyml.core.typed_json import from_json
from tinyml.device.link import CommandResult, Link
from tinyml.runtimes import runner

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class RunnerOutput:
    """The line that the runner prints; times as in `Process`."""

    model_sha256: str
    version: str
    threads: int
    samples_ns: tuple[int, ...]
    warmups: int
    load_ns: int
    first_ns: int
    peak_rss_kb: int | None
    loadavg_before: str | None
    loadavg_after: str | None
    machine: Mapping[str, str | int | float | bool | None]


MACHINE = ("cpu", "board", "arch", "cores", "governor", "system", "python", "numpy")


@dataclass(frozen=True, slots=True)
class Job:
    """A model file to time in a runtime, on ``inputs``.

    ``states`` are input -> output: the output of a call is the input of the next.
    """

    path: Path
    runtime: str
    inputs: Arrays
    part: str = WHOLE
    states: Mapping[str, str] | None = None

    @property
    def title(self) -> str:
        return f"{self.path.name}, {self.part}, {self.runtime}"


@dataclass(frozen=True, slots=True)
class MeasurePlan:
    """How each process runs its job; equal for all jobs of a measurement."""

    runs: int = 100
    warmups: int = 10
    seconds: float | None = None
    threads: int = 1
    timeout_s: float = 600.0


def measure(
    link: Link,
    jobs: Sequence[Job],
    repeats: int = 5,
    *,
    plan: MeasurePlan | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Measurement]:
    """One `Measurement` per job, in the order of ``jobs``, of ``repeats`` processes each.

    ``progress(title, done, total)`` is called before each process. Raises `DeviceError`
    when a process fails, `ValidationError` when a file changed on its way.
    """
    plan = plan or MeasurePlan()
    commands = _push(link, jobs, plan)
    order = random.Random(seed)
    results: list[list[RunnerOutput]] = [[] for _ in jobs]
    for turn in range(repeats):
        for place, index in enumerate(order.sample(range(len(jobs)), len(jobs))):
            if progress:
                progress(jobs[index].title, turn * len(jobs) + place, repeats * len(jobs))
            result = link.run(commands[index], timeout_s=plan.timeout_s)
            results[index].append(_line(jobs[index], result))
    return [_measurement(job, found, link) for job, found in zip(jobs, results, strict=True)]


def _push(link: Link, jobs: Sequence[Job], plan: MeasurePlan) -> list[list[str]]:
    """Put the runner and every job's files there; the command of each job."""
    script = link.push(Path(runner.__file__), "runner.py")
    return [_command(link, job, index, script, plan) for index, job in enumerate(jobs)]


def _command(link: Link, job: Job, index: int, script: str, plan: MeasurePlan) -> list[str]:
    model = link.push(job.path, f"{index}-{job.path.name}")
    with scratch("inputs") as folder:
        path = folder / "inputs.npz"
        write_npz(path, job.inputs)
        inputs = link.push(path, f"{index}-inputs.npz")
    command = [link.python, script, model, "--runtime", job.runtime, "--inputs", inputs]
    command += ["--warmup", str(plan.warmups), "--threads", str(plan.threads)]
    command += (
        ["--runs", str(plan.runs)] if plan.seconds is None else ["--seconds", str(plan.seconds)]
    )
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


def _measurement(job: Job, found: Sequence[RunnerOutput], link: Link) -> Measurement:
    first = found[0]
    conditions = {name: first.machine.get(name) for name in MACHINE}
    for other in found[1:]:
        changed = [name for name in MACHINE if other.machine.get(name) != conditions[name]]
        if changed:
            raise DeviceError(f"{job.title}: {', '.join(changed)} changed between the processes")
    return Measurement(
        model=job.path.name,
        model_sha256=first.model_sha256,
        part=job.part,
        runtime=job.runtime,
        version=first.version,
        processes=tuple(_process(line) for line in found),
        conditions={"device": link.name, "threads": first.threads, **conditions},
        label=link.label,
    )


def _process(run: RunnerOutput) -> Process:
    return Process(
        samples_ns=run.samples_ns,
        warmups=run.warmups,
        load_ns=run.load_ns,
        first_ns=run.first_ns,
        peak_rss_kb=run.peak_rss_kb,
        loadavg=(_load(run.loadavg_before), _load(run.loadavg_after)),
    )


def _load(text: str | None) -> float | None:
    return float(text.split()[0]) if text else None
