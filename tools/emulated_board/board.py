"""A board with a processor and software, and the instructions that a model takes there.

qemu's user emulation runs one program at a time with a root of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from emulated_board import parts
from emulated_board.host_tools import TO_COUNT, check, run
from emulated_board.processor import PARTS, cpu_info
from emulated_board.software import Software
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, UsageError, machine_errors
from tinyml.core.files import write_text
from tinyml.core.measurement import Label
from tinyml.core.scratch import scratch
from tinyml.device.emulated import EmulatedLink, open_link

CALLS = 3
TIMEOUT_S = 600.0
COUNTS = "counts.txt"
SITE = "opt/site"


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions of each of some calls of one file, and the first values of its output."""

    instructions: tuple[int, ...]
    output: tuple[float, ...]
    label: Label = "emulated"

    @property
    def per_call(self) -> int:
        """The fewest of a call: what the others have more is not the model's."""
        return min(self.instructions)


@contextmanager
def open_board(cpu: str, software: Software, *, counts: bool = True) -> Iterator[EmulatedLink]:
    """A board with ``cpu`` and ``software``; its files go when the block ends.

    With ``counts`` its instructions can be counted. Raises `UsageError` for an unknown ``cpu``,
    `MachineError` for what this machine lacks.
    """
    if cpu not in PARTS:
        known = ", ".join(PARTS)
        raise UsageError(f"no emulated board has the processor '{cpu}'", hint=f"known: {known}")
    if counts:
        check(TO_COUNT)
    with scratch("board") as folder:
        board = _board(folder, cpu, software)
        plugin = ("-plugin", f"{_plugin(folder)},out={COUNTS}") if counts else ()
        device = Device(
            name=f"emulated {cpu}",
            link="emulated",
            target="rpi",
            python=str(board / software.interpreter),
            runner=(*_runner(cpu, board), *plugin),
        )
        with open_link(device) as link:
            yield link


def _board(folder: Path, cpu: str, software: Software) -> Path:
    """A root of its own, with its ``/proc/cpuinfo``, so that boards may run side by side."""
    board, shared, site = folder / "root", parts.debian(software), parts.site_packages(software)
    write_text(board / "proc" / "cpuinfo", cpu_info(cpu))
    with machine_errors("making the board's root"):
        (board / "opt").mkdir()
        (board / SITE).symlink_to(site)
        for name in ("usr", "lib"):
            (board / name).symlink_to(shared / name)
    return board


def _plugin(folder: Path) -> Path:
    """QEMU's plugin that counts instructions, compiled into ``folder``."""
    source, made = Path(__file__).with_name("count_instructions.c"), folder / "count.so"
    run(["cc", "-O2", "-shared", "-fPIC", str(source), "-o", str(made)], "compiling the counter")
    return made


def _runner(cpu: str, board: Path) -> tuple[str, ...]:
    """The qemu command that starts a program of ``board``."""
    variables = {
        "ORT_DISABLE_TELEMETRY": 1,
        "PYTHONPATH": board / SITE,
        "PYTHONHASHSEED": 0,
    }
    settings = [part for name, value in variables.items() for part in ("-E", f"{name}={value}")]
    # A library path of the host's would lead to libraries for another processor.
    return ("qemu-aarch64", "-cpu", cpu, "-L", str(board), "-U", "LD_LIBRARY_PATH", *settings)


def count(link: EmulatedLink, path: Path, *, calls: int = CALLS) -> Counts:
    """Instructions of ``calls`` calls of the model file ``path``, after one that is not counted.

    Raises `DeviceError` where the board cannot run it.
    """
    script = link.push(Path(__file__).with_name("count_calls.py"), "count_calls.py")
    model = link.push(path, f"model{path.suffix}")
    command = [link.python, "-S", script, model, str(calls)]
    done = link.run(command, timeout_s=TIMEOUT_S)
    if done.code != 0:
        last = done.last_line[:200]
        raise DeviceError(f"{path.name} on {link.name}: it ended {done.code}: {last}")
    with machine_errors("reading the counts"):
        lines = (link.files.path / COUNTS).read_text(encoding="ascii").splitlines()
    marks = [int(line.split()[1]) for line in lines]
    if len(marks) != calls + 1:
        raise DeviceError(f"{path.name} on {link.name}: {len(marks)} of {calls + 1} marks")
    output = json.loads(done.stdout.strip().splitlines()[-1])["output"]
    return Counts(tuple(after - before for before, after in pairwise(marks)), tuple(output))
