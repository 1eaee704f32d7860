"""One system of one target under emulation: every file of some bundles, judged and counted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emulated_board import parts
from emulated_board.board import count, open_board
from emulated_board.host_tools import TO_COUNT, check
from emulated_board.software import of_system

from tinyml.core.errors import DeviceError, MachineError, TinymlError
from tinyml.core.events import silent
from tinyml.core.target import Target
from tinyml.device.emulated import EmulatedLink
from tinyml.device.link import Link
from tinyml.pipeline.checked_bundle import read_checked
from tinyml.pipeline.verify_on_link import FileOnLink, verify_on_link

START_S = 120.0
LATE = "no time was left; run it again, what is made is kept"


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file there, and the instructions of an inference; ``None``: they were not counted."""

    file: FileOnLink
    instructions: int | None = None


@dataclass(frozen=True, slots=True)
class BoardCheck:
    """What came of a board: its files, and why it or the rest of them was skipped."""

    target: str
    system: str
    cpu: str
    python: str
    files: tuple[CheckedFile, ...] = ()
    skipped: str = ""

    @property
    def passes(self) -> bool:
        """Whether no file differs; `is_late`: there was no time for some."""
        return all(own.file.passes for own in self.files)

    @property
    def is_late(self) -> bool:
        return self.skipped == LATE


def check_board(
    target: Target,
    system: str,
    bundles: Sequence[Path],
    report: Callable[[str], None],
    ends: float = math.inf,
) -> BoardCheck:
    """Every file of ``bundles`` on ``system`` of ``target``.

    It is skipped where the target has no such system, or this machine cannot emulate it. No bundle
    is begun after ``ends``, of `time.monotonic`.
    """
    own = target.systems.get(system)
    found = BoardCheck(target.name, system, target.cpu, own.python if own else "")
    if own is None:
        known = ", ".join(target.systems)
        return replace(found, skipped=f"the target has no such system, only {known}")
    if time.monotonic() >= ends:
        return replace(found, skipped=LATE)
    software = of_system(system, own)
    report(f"{target.name}, {system}: preparing")
    try:
        parts.debian(software)
        parts.site_packages(software)
    except (MachineError, DeviceError) as error:
        return replace(found, skipped=_one_line(error))
    with open_board(target.cpu, software, counts=not why_uncounted()) as link:
        if reason := _why_not_started(link):
            return replace(found, skipped=reason)
        files: list[CheckedFile] = []
        for folder in bundles:
            if time.monotonic() >= ends:
                return replace(found, files=tuple(files), skipped=LATE)
            report(f"{target.name}, {system}: {folder.name}")
            files += _files(link, folder)
    return replace(found, files=tuple(files))


def _one_line(error: TinymlError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def why_uncounted() -> str:
    """Why instructions are not counted here; empty where they are."""
    try:
        check(TO_COUNT)
    except MachineError as error:
        return _one_line(error)
    return ""


def _files(link: EmulatedLink, folder: Path) -> list[CheckedFile]:
    """Those of the bundle in ``folder``."""
    files = verify_on_link(link, *read_checked(folder), silent)
    return [_counted(link, folder, file) for file in files]


def _why_not_started(link: Link) -> str:
    """Empty where Python starts there: else this machine does not emulate."""
    done = link.run([link.python, "-S", "-c", "pass"], timeout_s=START_S)
    if done.code == 0:
        return ""
    return f"Python does not start under qemu here: it ended {done.code}: {done.last_line}"


def _counted(link: EmulatedLink, folder: Path, file: FileOnLink) -> CheckedFile:
    """``file`` with its instructions; one that failed has none."""
    if file.failure is not None or why_uncounted():
        return CheckedFile(file)
    try:
        return CheckedFile(file, count(link, folder / file.path).per_call)
    except DeviceError as error:
        return CheckedFile(replace(file, failure=error))
