"""A phone without adb: its shell is this x86-64 machine's, with Android's programs as scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from emulated_board import native
from emulated_board.phone import PROPERTIES, write_programs

from tinyml.core.errors import MachineError
from tinyml.device.emulated import EmulatedLink
from tinyml.device.local import LocalLink

HERE = {**PROPERTIES, "ro.product.cpu.abi": "x86_64"}


@dataclass(frozen=True, slots=True)
class ShellPhone:
    """``link`` reaches it; ``state`` is the folder of its state."""

    link: EmulatedLink
    state: Path

    def set(self, name: str, value: object) -> None:
        (self.state / name).write_text(f"{value}\n")

    def read(self, name: str) -> str | None:
        path = self.state / name
        return path.read_text().strip() if path.exists() else None


def shell_phone(folder: Path, properties: Mapping[str, str] = HERE) -> ShellPhone:
    """A phone whose files lie in ``folder``."""
    for name in ("bin", "state/settings", "tmp"):
        (folder / name).mkdir(parents=True)
    state = folder / "state"
    write_programs(folder / "bin", state, there=str(state), properties=properties)
    files = LocalLink(folder / "tmp")
    runner = ("env", f"PATH={folder / 'bin'}:/usr/bin:/bin")
    return ShellPhone(EmulatedLink(files, "pixel", runner, ""), state)


def benchmark_model() -> Path:
    """The stand-in of LiteRT's program for this machine; without a compiler the test is skipped."""
    try:
        return native.program("benchmark_model", "x86_64")
    except MachineError as error:
        pytest.skip(error.message)
