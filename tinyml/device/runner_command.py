"""The runner on a machine: its file there, and the command that runs a model file with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyml.core.array_files import write_npz
from tinyml.core.scratch import scratch
from tinyml.core.spec import Arrays
from tinyml.core.timing_plan import TimingPlan
from tinyml.device.link import Link
from tinyml.runtimes.runner_archive import NAME, write_archive


def push_runner(link: Link) -> str:
    """Copy the runner; its path there."""
    with scratch("runner") as folder:
        write_archive(folder / NAME)
        return link.push(folder / NAME, NAME)


def push_inputs(link: Link, inputs: Arrays, name: str) -> str:
    """Copy ``inputs`` as the .npz ``name``; its path there."""
    with scratch("inputs") as folder:
        path = folder / "inputs.npz"
        write_npz(path, inputs)
        return link.push(path, name)


@dataclass(frozen=True, slots=True)
class RunnerCommand:
    """A process of the runner: ``script``, ``model`` and ``inputs`` are paths there.

    ``outputs`` is where the outputs of the first call go; ``also`` are further inputs, and where
    the outputs of a call with them go; the rest as in `measure.Job`.
    """

    script: str
    model: str
    runtime: str
    inputs: str
    plan: TimingPlan
    threads: int = 1
    cpu: int | None = None
    delegate: str | None = None
    outputs: str | None = None
    states: Mapping[str, str] | None = None
    also: Sequence[tuple[str, str]] = ()

    def arguments(self, link: Link) -> list[str]:
        """The command line."""
        options = {
            "runtime": self.runtime,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "threads": self.threads,
            "cpu": self.cpu,
            "delegate": self.delegate,
            "warmup": self.plan.warmups,
            "runs": self.plan.min_samples,
            "min-time": self.plan.min_time_s,
            "max-time": self.plan.max_time_s,
            "period": self.plan.period_s,
            "between": self.plan.between,
        }
        command = [link.python, self.script, self.model]
        for name, value in options.items():
            command += [f"--{name}", str(value)] if value is not None else []
        for into, out in (self.states or {}).items():
            command += ["--state", f"{into}={out}"]
        for pair in self.also:
            command += ["--also", *pair]
        return command
