"""A way to reach a machine: put files there, run a command there, fetch files back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tinyml.core.errors import DeviceError
from tinyml.core.measurement import Label

# OpenSSH's exit code where the connection itself fails.
LINK_FAILED = 255


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command left: its exit code and both streams."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        """Of ``stderr``: there most programs say why they failed."""
        return (self.stderr.strip().splitlines() or ["no message"])[-1]


class ProgramMissingError(DeviceError):
    """A program is not there on the machine of a link."""

    def __init__(self, program: str, machine: str) -> None:
        super().__init__(f"cannot start {program}: it is not a program on {machine}")


class Link(Protocol):
    """A connection to one machine. Every failure of the link itself is a `DeviceError`."""

    @property
    def name(self) -> str:
        """The machine, as in reports."""

    @property
    def label(self) -> Label:
        """What a measurement over this link is called."""

    @property
    def python(self) -> str:
        """The command that starts Python there."""

    @property
    def folder(self) -> str:
        """The link's own folder there; it goes when the link is closed."""

    def command(self, command: Sequence[str]) -> list[str]:
        """A command line to start here: its streams and exit code are those of ``command`` there.

        For what runs long and talks in between; `run` is for all else. Whoever starts it ties it to
        this process (`tinyml.core.process.tied`).
        """

    def push(self, path: Path, name: str) -> str:
        """Copy ``path`` into the link's own folder as ``name``; the path to use there."""

    def pull(self, name: str, path: Path) -> None:
        """Copy the file ``name`` of the link's folder to ``path``."""

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Run ``command`` in the link's folder and wait for it.

        A command that fails is an `CommandResult` with its code; one that does not end in
        ``timeout_s`` is a `DeviceError`.
        """
