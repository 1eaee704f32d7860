"""A file that one process holds at a time, however the others of its kind end.

The kernel lets go of a held file when its process dies, so there is no process number to
look up: this also works between containers that share a folder.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def hold(path: Path, *, wait: bool = False, make: bool = True) -> int | None:
    """Make the file ``path`` and hold it: its descriptor, ``None`` where another process has it.

    With ``wait`` it waits for that process instead; without ``make`` the file must exist.
    Close the descriptor to let go; whoever removes the file does so first, while it holds it.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if make else 0)
    while True:
        held = os.open(path, flags, 0o666)
        try:
            fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(held, path):
                return held
        except BlockingIOError:
            os.close(held)
            return None
        except BaseException:
            os.close(held)
            raise
        # The process before this one removed the file: what is held has no name any more.
        os.close(held)


def is_at(held: int, path: Path) -> bool:
    """Whether ``path`` still names the file of the descriptor ``held``."""
    try:
        return os.path.samestat(os.fstat(held), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
