"""This machine as a link: a folder of its own, and child processes that die with this one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.errors import DeviceError, machine_errors
from tinyml.core.measurement import Label
from tinyml.core.process import tied
from tinyml.core.scratch import scratch
from tinyml.core.target import Target
from tinyml.device.link import CommandResult


@dataclass(frozen=True, slots=True)
class LocalLink:
    """Files are copied into ``folder`` and commands run there, as on a board."""

    folder: Path
    name: str = "this machine"
    label: Label = "host"
    python: str = sys.executable

    def push(self, path: Path, name: str) -> str:
        with machine_errors(f"copying {path.name}"):
            shutil.copyfile(path, self.folder / name)
        return str(self.folder / name)

    def pull(self, name: str, path: Path) -> None:
        with machine_errors(f"copying {name}"):
            shutil.copyfile(self.folder / name, path)

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        if shutil.which(command[0]) is None:
            raise DeviceError(f"cannot start {command[0]}: it is not a program on this machine")
        try:
            done = subprocess.run(
                tied(command),
                cwd=self.folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DeviceError(
                f"{Path(command[0]).name} did not end within {timeout_s:g} s",
                hint="fewer runs, or a smaller model",
            ) from None
        return CommandResult(done.returncode, done.stdout, done.stderr)


@contextmanager
def open_link(target: Target) -> Iterator[LocalLink]:
    """A link to this machine, which is ``target``; its folder goes when the block ends."""
    with scratch("run") as folder:
        yield LocalLink(folder, target.board)
