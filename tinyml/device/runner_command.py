"""The runner on a machine: its file there, and the command that runs a model file with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinyml.core.array_files import write_npz
from tinyml.core.scratch import scratch
from tinyml.core.spec import Arrays
from tinyml.core.timing_plan import TimingPlan
from tinyml.device.link import Link
from tinyml.device.program import Program, push_program
from tinyml.runtimes.runner_archive import NAME, write_archive


def push_runner(link: Link) -> Program:
    """Copy the runner."""
    with scratch("runner") as folder:
        write_archive(folder / NAME)
        return push_program(link, folder / NAME, NAME)


def push_inputs(link: Link, inputs: Arrays, name: str) -> str:
    """Copy ``inputs`` as the .npz ``name``; its path there."""
    with scratch("inputs") as folder:
        path = folder / "inputs.npz"
        write_npz(path, inputs)
        return link.push(path, name)


@dataclass(frozen=True, slots=True)
class RunnerCommand:
    """A process of the runner: ``model`` and ``inputs`` are paths there.

    ``profile``: the time of each operator is asked for; the rest as in `measure.Job`.
    """

    runner: Program
    model: str
    runtime: str
    inputs: str
    plan: TimingPlan
    threads: int = 1
    cpu: int | None = None
    delegate: str | None = None
    states: Mapping[str, str] | None = None
    profile: bool = False
    power: str | None = None

    def arguments(self, link: Link) -> list[str]:
        """The command line."""
        options = {
            "runtime": self.runtime,
            "inputs": self.inputs,
            "threads": self.threads,
            "cpu": self.cpu,
            "delegate": self.delegate,
            "warmup": self.plan.warmups,
            "runs": self.plan.min_samples,
            "min-time": self.plan.min_time_s,
            "max-time": self.plan.max_time_s,
            "period": self.plan.period_s,
            "between": self.plan.between,
            "power": self.power,
        }
        command = [self.model]
        for name, value in options.items():
            command += [f"--{name}", str(value)] if value is not None else []
        for into, out in (self.states or {}).items():
            command += ["--state", f"{into}={out}"]
        command += ["--profile"] if self.profile else []
        return self.runner.command(link, command)


def serving_command(
    link: Link, runner: Program, model: str, runtime: str, *, threads: int, limit_s: float
) -> list[str]:
    """A process of the runner that loads ``model`` and answers messages.

    It ends by itself when nothing happens for ``limit_s`` seconds.
    """
    options = {"--runtime": runtime, "--threads": f"{threads}", "--serve": f"{limit_s}"}
    return runner.command(link, [model, *(part for pair in options.items() for part in pair)])
