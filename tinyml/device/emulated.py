"""An emulated board as a link: each command is started by a runner, such as qemu's user emulation.

What comes from it is labelled ``emulated``: it shows which kernels run and how many
instructions they take, and never how fast a board is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.device import Device
from tinyml.core.measurement import Label
from tinyml.core.scratch import scratch
from tinyml.device.link import CommandResult
from tinyml.device.local import LocalLink


@dataclass(frozen=True, slots=True)
class EmulatedLink:
    """Files lie in ``files``'s folder; ``runner`` starts each command on the emulated processor.

    name    the machine, as in reports
    runner  a program with its arguments; the command follows
    python  the path of the board's Python, as the emulated processor sees it
    """

    files: LocalLink
    name: str
    runner: tuple[str, ...]
    python: str
    label: Label = "emulated"

    @property
    def folder(self) -> str:
        return self.files.folder

    def command(self, command: Sequence[str]) -> list[str]:
        return self.files.command([*self.runner, *command])

    def push(self, path: Path, name: str) -> str:
        return self.files.push(path, name)

    def pull(self, name: str, path: Path) -> None:
        self.files.pull(name, path)

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        return self.files.run([*self.runner, *command], timeout_s=timeout_s)


@contextmanager
def open_link(device: Device) -> Iterator[EmulatedLink]:
    """A link to ``device``, whose commands its runner starts; the folder goes with the block."""
    with scratch("board") as folder:
        yield EmulatedLink(LocalLink(folder), device.name, device.runner, device.python)
