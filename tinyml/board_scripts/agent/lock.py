"""The board's lock: a file that all users of the board can write, changed by one at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from typing import Any

from tinyml.board_scripts.agent.clock import boot_id, uptime_s
from tinyml.board_scripts.agent.errors import AgentError

# TINYML_LOCK names another.
LOCK = "/tmp/tinyml.lock"
LOCK_WAIT_S = 10.0
MOST_BYTES = 1 << 16


def lock(*change: str) -> dict[str, Any]:
    """What the lock's file holds; with OLD and NEW, it then holds NEW where it held OLD.

    ``took`` is whether it did. An empty text is a free board. The host decides what the texts
    mean, and who may replace which.
    """
    held = open_lock(os.environ.get("TINYML_LOCK") or LOCK)
    try:
        wait_for(held)
        text = os.read(held, MOST_BYTES).decode("utf-8", "replace")
        took = len(change) == 2 and change[0] == text
        if took:
            data = change[1].encode()
            os.pwrite(held, data, 0)
            os.ftruncate(held, len(data))
            text = change[1]
    finally:
        os.close(held)
    return {"text": text, "took": took, "boot_id": boot_id(), "uptime_s": uptime_s()}


def open_lock(path: str) -> int:
    """The lock's file, open; made if it is not there, so that every user may write it.

    It is opened without O_CREAT first: in a folder that all may write, Linux refuses that for the
    file of another user.
    """
    for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR):
        try:
            held = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue
        except FileExistsError:
            continue
        except OSError as error:
            raise AgentError(
                f"{path}: {error.strerror}", f"on the board: sudo rm {path}"
            ) from error
        if not stat.S_ISREG(os.fstat(held).st_mode):
            os.close(held)
            raise AgentError(f"{path} is not a file", f"on the board: sudo rm -r {path}")
        if flags & os.O_CREAT:
            os.fchmod(held, 0o666)
        return held
    raise AgentError(f"{path} appears and disappears", "try again")


def wait_for(held: int) -> None:
    """Hold the open file: others do for an instant."""
    ends = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() > ends:
                raise AgentError(f"the lock's file is in use: {error.strerror}") from error
        time.sleep(0.05)
