"""A runtime as it computes on the machine of a link: outputs are made there and read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinyml.core.array_files import read_npz
from tinyml.core.errors import InputError, ValidationError
from tinyml.core.files import sha256
from tinyml.core.scratch import scratch
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.core.timing_plan import TimingPlan
from tinyml.device.link import Link
from tinyml.device.runner_command import RunnerCommand, push_inputs
from tinyml.device.runner_output import read_line
from tinyml.runtimes.base import Reader, Runtime, Wrapped

# Its outputs are asked for, and not its time.
ONE_CALL = TimingPlan(min_samples=1, min_time_s=0.0, warmups=0)
TIMEOUT_S = 600.0


@dataclass(slots=True)
class LinkRuntime(Wrapped):
    """``engine`` as a `Runtime` on the machine of ``link``, where the ``runner`` lies.

    It does not read inside: only outputs come back. ``cases`` are inputs of the files, whose
    ``signature`` is given; a session computes them together, in one process there, with the first
    that is asked for. Any other inputs take a process of their own.

    Raises `DeviceError` for a runtime that is not there, refuses the file, fails or crashes, and
    `ValidationError` for a file that is another one there.
    """

    engine: Runtime
    link: Link
    runner: str
    signature: Signature
    cases: Sequence[Arrays] = ()
    ran: str | None = field(default=None, init=False)

    @property
    def reads_inside(self) -> bool:
        return False

    def version(self) -> str | None:
        """What the last call ran in; ``None`` before the first."""
        return self.ran

    def open(self, path: Path, *, threads: int = 1) -> LinkSession:
        return LinkSession(path, self.link.push(path, path.name), self, threads)

    def reader(self, path: Path, names: Sequence[str]) -> Reader:
        raise InputError(f"{path}: {self.name} on {self.link.name} shows outputs alone")

    def read_tensors(self, path: Path, names: Sequence[str], inputs: Arrays) -> dict[str, Array]:
        return self.reader(path, names)(inputs)


@dataclass(frozen=True, slots=True)
class LinkSession:
    """The file ``path``, which lies at ``there`` on the machine; ``known``: what is computed."""

    path: Path
    there: str
    runtime: LinkRuntime
    threads: int
    precision: str = ""
    known: list[tuple[Arrays, dict[str, Array]]] = field(default_factory=list)

    @property
    def signature(self) -> Signature:
        return self.runtime.signature

    def run(self, inputs: Arrays) -> dict[str, Array]:
        if (found := self._known(inputs)) is None:
            cases = self.runtime.cases
            together = cases if any(_equal(inputs, case) for case in cases) else [inputs]
            self.known.extend(zip(together, self._run(together), strict=True))
            found = self._known(inputs)
        assert found is not None
        return found

    def _known(self, inputs: Arrays) -> dict[str, Array] | None:
        return next((own for given, own in self.known if _equal(inputs, given)), None)

    def _run(self, cases: Sequence[Arrays]) -> list[dict[str, Array]]:
        """The outputs of each of ``cases``, computed by one process there."""
        link, runtime, count = self.runtime.link, self.runtime, len(cases)
        inputs = [push_inputs(link, case, f"inputs-{n}.npz") for n, case in enumerate(cases)]
        outputs = [f"outputs-{n}.npz" for n in range(count)]
        command = RunnerCommand(
            runtime.runner,
            self.there,
            runtime.name,
            inputs[0],
            ONE_CALL,
            threads=self.threads,
            outputs=outputs[0],
            also=list(zip(inputs, outputs, strict=True))[1:],
        )
        result = link.run(command.arguments(link), timeout_s=TIMEOUT_S)
        line = read_line(result, f"{self.path.name}, {runtime.name} on {link.name}")
        if line.model_sha256 != sha256(self.path):
            raise ValidationError(f"{self.path.name} is another file on {link.name} than here")
        runtime.ran = line.version
        return [_pulled(link, name) for name in outputs]


def _pulled(link: Link, name: str) -> dict[str, Array]:
    with scratch("outputs") as folder:
        link.pull(name, folder / name)
        return read_npz(folder / name)


def _equal(some: Arrays, others: Arrays) -> bool:
    return some.keys() == others.keys() and all(
        np.array_equal(array, others[name]) for name, array in some.items()
    )
