"""The start of the board: its boot id and uptime."""

from __future__ import annotations

import time

from tinyml.board_scripts.agent.files import read_text


def boot_id() -> str:
    """The boot id, which changes at each start of the board."""
    return read_text("/proc/sys/kernel/random/boot_id")


def uptime_s() -> float:
    """Seconds since the board started: no change of its clock moves it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
