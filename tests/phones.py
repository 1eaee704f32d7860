"""A phone without adb: its shell runs on this machine, with Android's programs as scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emulated_board.phone import PROPERTIES, write_programs

from tinyml.device.emulated import EmulatedLink
from tinyml.device.local import LocalLink

# Programs for this machine run there.
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
