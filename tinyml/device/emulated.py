"""An emulated 64-bit ARM board: real LiteRT on it, and exact counts of instructions.

qemu's user emulation runs one program at a time with a root of its own. What comes from it
is labelled ``emulated``: it shows which kernels run and how many instructions they take,
and never how fast a board is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tinyml.core.errors import DeviceError, UsageError, machine_errors
from tinyml.core.files import write_text
from tinyml.core.measurement import Label
from tinyml.core.scratch import scratch
from tinyml.device import emulated_root
from tinyml.device.link import Answer
from tinyml.device.local import LocalLink

CALLS = 3
TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class EmulatedLink:
    """Files lie in ``files``'s folder; commands run under qemu as on ``cpu``.

    root     the board's root folder, before the host's for every path that it has
    cpu      qemu's name of it, one of `emulated_root.PARTS`
    counter  the compiled plugin
    """

    files: LocalLink
    root: Path
    cpu: str
    counter: Path
    label: Label = "emulated"

    @property
    def name(self) -> str:
        return f"emulated {self.cpu}"

    @property
    def python(self) -> str:
        return str(self.root / emulated_root.PYTHON)

    def push(self, path: Path, name: str) -> str:
        return self.files.push(path, name)

    def pull(self, name: str, path: Path) -> None:
        self.files.pull(name, path)

    def run(self, command: Sequence[str], *, timeout_s: float) -> Answer:
        return self.files.run(
            [*self._qemu(), *self._plugin("counts.txt"), *command], timeout_s=timeout_s
        )

    def _qemu(self) -> list[str]:
        site = self.root / emulated_root.SITE
        told = (f"PYTHONPATH={site}", "PYTHONDONTWRITEBYTECODE=1", "PYTHONHASHSEED=0")
        settings = [part for setting in told for part in ("-E", setting)]
        # A library path of the host's would lead to libraries for another processor.
        emulated = ["qemu-aarch64", "-cpu", self.cpu, "-L", str(self.root)]
        return [*emulated, "-U", "LD_LIBRARY_PATH", *settings]

    def _plugin(self, name: str) -> list[str]:
        return ["-plugin", f"{self.counter},out={self.files.folder / name}"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions of each of some calls of one file, and the first values of its answer."""

    instructions: tuple[int, ...]
    answer: tuple[float, ...]
    label: Label = "emulated"

    @property
    def per_call(self) -> int:
        """The fewest of a call: what the others have more is not the model's."""
        return min(self.instructions)


@contextmanager
def emulated_link(cpu: str, version: str) -> Iterator[EmulatedLink]:
    """A board with ``cpu`` and LiteRT ``version``; its files go when the block ends.

    Raises `UsageError` for an unknown ``cpu``, `MachineError` for what this machine lacks.
    """
    if cpu not in emulated_root.PARTS:
        known = ", ".join(emulated_root.PARTS)
        raise UsageError(f"no emulated board has the processor '{cpu}'", hint=f"known: {known}")
    root = emulated_root.root(version)
    with scratch("board") as made:
        yield EmulatedLink(
            LocalLink(made), _board(root, made, cpu), cpu, emulated_root.plugin(made)
        )


def _board(root: Path, folder: Path, cpu: str) -> Path:
    """``root`` with a ``/proc/cpuinfo`` of its own, so that boards may run side by side."""
    board = folder / "root"
    write_text(board / "proc" / "cpuinfo", emulated_root.cpu_info(cpu))
    with machine_errors("making the board's root"):
        for name in ("usr", "lib", "opt"):
            (board / name).symlink_to(root / name)
    return board


def count(link: EmulatedLink, path: Path, *, calls: int = CALLS) -> Counts:
    """Instructions of ``calls`` calls of the .tflite file ``path``, after one that is not counted.

    Raises `DeviceError` where the board cannot run it.
    """
    script = link.push(Path(__file__).with_name("count_calls.py"), "count_calls.py")
    model = link.push(path, "model.tflite")
    command = [link.python, "-S", script, model, str(calls)]
    answer = link.run(command, timeout_s=TIMEOUT_S)
    if answer.code != 0:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise DeviceError(f"{path.name} on {link.name}: it ended {answer.code}: {last[:200]}")
    with machine_errors("reading the counts"):
        lines = (link.files.folder / "counts.txt").read_text(encoding="ascii").splitlines()
    marks = [int(line.split()[1]) for line in lines]
    if len(marks) != calls + 1:
        raise DeviceError(f"{path.name} on {link.name}: {len(marks)} of {calls + 1} marks")
    told = json.loads(answer.stdout.strip().splitlines()[-1])
    return Counts(tuple(after - before for before, after in pairwise(marks)), tuple(told["answer"]))
