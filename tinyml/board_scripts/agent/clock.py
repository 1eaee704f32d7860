"""Since when the board runs."""

from __future__ import annotations

import time

from tinyml.board_scripts.agent.files import read_text


def boot_id() -> str:
    """Another one after each start of the board."""
    return read_text("/proc/sys/kernel/random/boot_id")


def uptime_s() -> float:
    """Seconds since the board started: no change of its clock moves it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
