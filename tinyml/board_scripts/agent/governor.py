"""The governors of a board's cores: set during a measurement, and always restored."""

from __future__ import annotations

import glob
import json
import os
import signal
import sys
from typing import Any

from tinyml.board_scripts.agent.files import read_text, write_text

# TINYML_CPUS names another place.
CPUS = "/sys/devices/system/cpu"


def hold(governor: str) -> dict[str, Any]:
    """Give every core the governor, where this user may, until stdin ends; then set them back.

    A process of its own does it, which outlives this one: also where the link is lost, and what
    it started is killed, the governors are set back.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        for name in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)
        try:
            hold_until_end(governor)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return {}


def hold_until_end(governor: str) -> None:
    """Prints the governors that were found, and on how many cores another one was set."""
    folder = os.environ.get("TINYML_CPUS") or CPUS
    found = {
        path: read_text(path)
        for path in sorted(glob.glob(folder + "/cpu[0-9]*/cpufreq/scaling_governor"))
    }
    held = {}
    try:
        for path, before in found.items():
            if before != governor and write_text(path, governor):
                held[path] = before
        print(json.dumps({"governors": sorted(set(found.values())), "held": len(held)}), flush=True)
        sys.stdin.buffer.read()
    finally:
        for path, before in held.items():
            if read_text(path) == governor:
                write_text(path, before)
