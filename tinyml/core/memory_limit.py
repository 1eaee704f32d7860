"""What one child process may use, and how it shows that this was not enough."""

from __future__ import annotations

import re
import resource
import sys
import time
from pathlib import Path

NO_MEMORY = re.compile(
    "bad_alloc|cannot allocate memory|can't allocate memory|failed to map segment"
    "|memory allocation still failed",  # OpenBLAS
    re.IGNORECASE,
)
# Some native code asks for memory again and again: a process that has stood so long at so much of
# its limit, to the kilobyte, does not go on.
FULL = 0.97
STUCK_S = 20.0


def limit_memory(memory_mb: int) -> None:
    """Limit the heap: address space would also count what is only reserved. No core is dumped."""
    if memory_mb:
        size, hard = min(memory_mb << 20, sys.maxsize), resource.getrlimit(resource.RLIMIT_DATA)[1]
        size = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def lacks_memory(error: BaseException | None) -> bool:
    """Whether ``error``, or what it was raised for, is a lack of memory."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))  # ``raise error from error`` is a chain without an end
        if isinstance(error, MemoryError) or (
            isinstance(error, RuntimeError | ImportError | OSError) and NO_MEMORY.search(str(error))
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


class Stuck:
    """Whether the process ``pid`` has stood at its limit of ``memory_mb`` for `STUCK_S`."""

    def __init__(self, pid: int, memory_mb: int) -> None:
        self.pid, self.memory_mb = pid, memory_mb
        self._data_kb, self._since = 0, time.monotonic()

    def now(self) -> bool:
        """Look at the process; to be asked about once a second or more often."""
        if not self.memory_mb:
            return False
        data_kb, at = _data_kb(self.pid), time.monotonic()
        if data_kb != self._data_kb:
            self._data_kb, self._since = data_kb, at
        return data_kb >= FULL * 1024 * self.memory_mb and at - self._since > STUCK_S


def _data_kb(pid: int) -> int:
    """What RLIMIT_DATA counts of a process; 0 where that is not known."""
    status = Path(f"/proc/{pid}/status")
    try:
        found = re.search(r"^VmData:\s+(\d+) kB", status.read_text(encoding="utf-8"), re.M)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found.group(1)) if found else 0
