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
from tinyml.device.link import CommandResult, Link

# Exit codes of a shell: the command is not a program, or was not found.
NOT_STARTED = (126, 127)
# What a shell adds to the number of a signal that ended its command.
OF_SIGNAL = 128
SIGNALS = {own.value: own.name for own in signal.Signals}
SETUP_HINT = "tinyml device check {} --setup installs what is missing"
PYTHON_HINT = "install Python 3.9 or newer there, or name it: tinyml device add --python PATH"


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


def check_end(result: CommandResult, title: str, device: str = "NAME") -> None:
    """Raise what a process that ended with another exit code than 0 tells; ``title``: its purpose.

    `ValidationError` for a program that was changed there, `DeviceError` for any other end.
    """
    if result.code == CHANGED:
        raise ValidationError(f"{title}: {result.last_line}", hint="run the command again")
    if result.code in (TOO_OLD, *NOT_STARTED):
        reason = "" if result.code == TOO_OLD else "Python cannot be started there: "
        raise DeviceError(f"{title}: {reason}{result.last_line}", hint=PYTHON_HINT)
    if result.code:
        hint = hint_for(result, device)
        raise DeviceError(f"{title}: the process {how_it_ended(result)}", hint=hint)


def how_it_ended(result: CommandResult) -> str:
    """How the process ended, with the last line that it wrote."""
    last = result.last_line
    if number := signal_of(result.code):
        return f"was killed by signal {number} ({SIGNALS.get(number, 'unknown')}): {last}"
    if result.code == 0:
        return f"printed no result: {last}"
    return f"ended {result.code}: {last}"


def signal_of(code: int) -> int:
    """The signal that ended a process, here or behind a shell; 0: none did."""
    if code < 0:
        return -code
    return code - OF_SIGNAL if code - OF_SIGNAL in SIGNALS else 0


def hint_for(result: CommandResult, device: str = "NAME") -> str:
    """What may help, of the two ends that tell."""
    if signal_of(result.code) == signal.SIGKILL:
        return "Linux kills a process that takes all memory: try a smaller model"
    return SETUP_HINT.format(device) if "No module named 'numpy'" in result.last_line else ""
