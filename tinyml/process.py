"""What every child process is given: its share of the machine, and its parent's life to follow."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
ORPHANED = 70


def machine_memory_mb() -> int:
    """What this machine has, or the control group that the process is in."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="utf-8").strip() if limit.is_file() else "max"
    return min(pages * size, int(text) if text.isdigit() else pages * size) >> 20


def die_with(parent: int) -> None:
    """Be killed when the parent dies, however it dies."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(ORPHANED)
