"""A Python program that is pushed to a machine: its bytes are checked there before each start."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyml.board_scripts import START
from tinyml.board_scripts.start import CHANGED, TOO_OLD
from tinyml.core.errors import DeviceError, ValidationError
from tinyml.core.files import sha256
from tinyml.device.link import Link

# Of a shell: a command that it cannot start, or does not find.
NOT_STARTED = (126, 127)
# A shell's exit code for a command that a signal killed is this and the signal's number.
KILLED = 128
SIGNALS = {own.value: own.name for own in signal.Signals}
SETUP_HINT = "tinyml device check {} --setup installs what is missing"


@dataclass(frozen=True, slots=True)
class Program:
    """A file at ``path`` there, and what it must hold."""

    path: str
    sha256: str

    def command(self, link: Link, arguments: Sequence[str]) -> list[str]:
        """The command line that checks the file there and then runs it with ``arguments``."""
        start = START.read_text(encoding="utf-8")
        return [link.python, "-c", start, self.sha256, self.path, *arguments]


def push_program(link: Link, path: Path, name: str) -> Program:
    """Copy the program at ``path`` into the link's folder as ``name``."""
    return Program(link.push(path, name), sha256(path))


def check_end(code: int, last_line: str, title: str, device: str = "NAME") -> None:
    """Raise what the end of a process with the exit code ``code`` tells; nothing for 0.

    ``last_line`` of its stderr; ``title`` names what it was for. Raises `ValidationError` for a
    program that was changed there, and `DeviceError` for any other end.
    """
    if code == CHANGED:
        raise ValidationError(f"{title}: {last_line}", hint="run the command again")
    if code:
        raise DeviceError(
            f"{title}: {end_text(code, last_line)}", hint=_hint(code, last_line, device)
        )


def end_text(code: int, last_line: str) -> str:
    """How a process ended."""
    if code == TOO_OLD:
        return last_line
    if code in NOT_STARTED:
        return f"Python cannot be started there: {last_line}"
    if number := killed_by(code):
        return f"the process was killed by signal {number} ({SIGNALS[number]}): {last_line}"
    return f"the process ended {code}: {last_line}"


def killed_by(code: int) -> int:
    """The signal that killed a process with the exit code ``code``; 0: none."""
    number = -code if code < 0 else code - KILLED
    return number if number in SIGNALS else 0


def _hint(code: int, last_line: str, device: str) -> str:
    if code == TOO_OLD or code in NOT_STARTED:
        return "install Python 3.9 or newer there, or name it: tinyml device add --python PATH"
    if killed_by(code) == signal.SIGKILL:
        return "Linux kills a process that takes all memory: try a smaller model"
    if "No module named 'numpy'" in last_line:
        return SETUP_HINT.format(device)
    return ""
