"""Facts of a board, as its agent reports them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# ARM's implementer and part of a core, as /proc/cpuinfo has them -> its name, as in a target.
CPU_NAMES = {
    "0x41 0xd03": "cortex-a53",
    "0x41 0xd04": "cortex-a35",
    "0x41 0xd05": "cortex-a55",
    "0x41 0xd07": "cortex-a57",
    "0x41 0xd08": "cortex-a72",
    "0x41 0xd09": "cortex-a73",
    "0x41 0xd0a": "cortex-a75",
    "0x41 0xd0b": "cortex-a76",
    "0x41 0xd41": "cortex-a78",
    "0x41 0xc07": "cortex-a7",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFacts:
    """Facts of one board at one moment; an empty text or ``None``: not known.

    board       its model, as the firmware calls it; ``soc``: its chip
    system      the operating system; ``release``: that of Debian, as ``bookworm``
    libc        ``glibc 2.36``; of musl the name alone
    bits        of the programs: a 64-bit kernel may run 32-bit ones
    python      its version, empty where there is none; ``has_venv``: whether it can make a venv
    page_kib    size of a memory page
    home        the user's folder, which tinyml's own lies in
    memory_mb, memory_free_mb, disk_free_mb  of the board, and of the disk of ``home``
    max_khz     the highest clock of each core, fastest first; of those that tell
    cpu_parts   implementer and part of each kind of core; see `CPU_NAMES`
    packages    package -> installed version, of those that run models
    noexec      folders whose programs and libraries cannot be run
    boot_id     changes when the board restarts
    clock_s     its clock, in seconds since 1970
    more        what only phones report: its name -> a text
    """

    board: str
    system: str
    arch: str
    kernel: str = ""
    soc: str = ""
    release: str = ""
    libc: str = ""
    bits: int | None = None
    python: str = ""
    python_path: str = ""
    has_venv: bool = False
    page_kib: int | None = None
    home: str = ""
    home_writable: bool = True
    disk_free_mb: int | None = None
    memory_mb: int | None = None
    memory_free_mb: int | None = None
    cores: int | None = None
    max_khz: tuple[int, ...] = ()
    cpu_parts: tuple[str, ...] = ()
    cpu_features: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    noexec: tuple[str, ...] = ()
    boot_id: str = ""
    clock_s: float | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def cpus(self) -> tuple[str, ...]:
        """The kinds of its cores by name; of a part without a name, its numbers."""
        return tuple(CPU_NAMES.get(part, part) for part in self.cpu_parts)
