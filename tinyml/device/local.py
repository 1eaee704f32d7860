"""This machine as a link: a folder of its own, and child processes that die with this one."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, machine_errors
from tinyml.core.interruption import LOOK_S, check_interrupted
from tinyml.core.measurement import Label
from tinyml.core.process import tied
from tinyml.core.scratch import scratch
from tinyml.core.target import find_target
from tinyml.device.link import CommandResult, ProgramMissingError

# Of what a command writes; a runner's line has at most 10,000 samples.
MOST_BYTES = 64 << 20
PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class LocalLink:
    """Files are copied into ``path`` and commands run there, as on a board."""

    path: Path
    name: str = "this machine"
    label: Label = "host"
    python: str = sys.executable

    @property
    def folder(self) -> str:
        return str(self.path)

    def command(self, command: Sequence[str]) -> list[str]:
        return list(command)

    def push(self, path: Path, name: str) -> str:
        with machine_errors(f"copying {path.name}"):
            shutil.copyfile(path, self.path / name)
        return str(self.path / name)

    def pull(self, name: str, path: Path) -> None:
        with machine_errors(f"copying {name}"):
            shutil.copyfile(self.path / name, path)

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        if shutil.which(command[0]) is None:
            raise ProgramMissingError(command[0], "this machine")
        return run_limited(command, self.path, Path(command[0]).name, timeout_s)


def run_limited(command: Sequence[str], folder: Path, name: str, timeout_s: float) -> CommandResult:
    """Run ``command`` in ``folder`` to its end; whatever happens, it does not outlive the call.

    Raises `DeviceError`, with the ``name`` of the program, when it takes longer than ``timeout_s``
    or writes more than `MOST_BYTES`.
    """
    late = DeviceError(
        f"{name} did not end within {timeout_s:g} s", hint="fewer runs, or a smaller model"
    )
    ends = time.monotonic() + timeout_s
    with subprocess.Popen(
        tied(command),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            stdout, stderr = _written(process, ends, name)
            process.wait(max(0.0, ends - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise late from None
        finally:
            process.kill()  # Nothing, where it ended.
    return CommandResult(process.returncode, stdout, stderr)


def _written(process: subprocess.Popen[bytes], ends: float, name: str) -> tuple[str, str]:
    """Both streams to their end; `TimeoutError` after ``ends``, `DeviceError` for too much."""
    found: dict[Any, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as waiting:
        for stream in found:
            waiting.register(stream, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(min(LOOK_S, max(0.0, ends - time.monotonic())))
            check_interrupted()
            if not ready and time.monotonic() >= ends:
                raise TimeoutError
            for key, _ in ready:
                piece = os.read(key.fd, PIECE)
                found[key.fileobj].extend(piece)
                if not piece:
                    waiting.unregister(key.fileobj)
            if sum(map(len, found.values())) > MOST_BYTES:
                raise DeviceError(f"{name} wrote more than {MOST_BYTES >> 20} MiB, and was ended")
    stdout, stderr = (own.decode(errors="replace") for own in found.values())
    return stdout, stderr


@contextmanager
def open_link(device: Device) -> Iterator[LocalLink]:
    """A link to this machine; its folder goes when the block ends."""
    with scratch("run") as folder:
        yield LocalLink(folder, find_target(device.target).board)
