"""The end of what a process writes to its standard error, while something else is read of it."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import deque

PIECE, PIECES = 4096, 16


class StderrTail:
    """Reads all of it, however much there is, and keeps the end: a full pipe would stop it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pieces: deque[bytes] = deque(maxlen=PIECES)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def text(self, timeout_s: float) -> str:
        """The end; waits so long for all of it, since children of the process may still write."""
        self.thread.join(timeout_s)
        return b"".join(self.pieces).decode(errors="replace")

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            while piece := os.read(stream.fileno(), PIECE):
                self.pieces.append(piece)
