"""Waiting for what other processes do."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 30 s"
        time.sleep(0.05)


def kill_when(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Kill ``process`` as soon as the condition holds, from another thread."""

    def kill() -> None:
        wait_for(condition)
        process.kill()

    threading.Thread(target=kill, daemon=True).start()


def assert_gone(pid: int) -> None:
    """No process ``pid``, or only what is left of one until its parent asks for it."""

    def gone() -> bool:
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        return status.rpartition(")")[2].split()[0] == "Z"

    wait_for(gone)


def assert_nothing_of(folder: Path) -> None:
    """It is gone, and no process has it on its command line."""

    def gone() -> bool:
        lines = []
        for own in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                lines.append(own.read_bytes())
        return not folder.exists() and not any(bytes(folder) in line for line in lines)

    wait_for(gone)
