"""What a board's lock holds: who measures there, and who has reserved it."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.errors import DeviceError
from tinyml.core.typed_json import from_json, parse_json, to_json

# A process that measures for longer has lost the board; a person's reservation ends too.
LONGEST_RUN_S = 12 * 3600.0
LONGEST_RESERVATION_S = 7 * 24 * 3600.0
PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process or a person that has a board.

    owner     ``user@host``
    pid       of the process; 0: a person, by `tinyml device lock`
    started   when that process started: a later one may have its number
    machine   where ``pid`` counts
    boot_id, uptime_s  the board's, when it was taken
    why       in a few words
    token     distinguishes this holder from every other
    """

    owner: str
    boot_id: str
    uptime_s: float
    token: str
    pid: int = 0
    started: str = ""
    machine: str = ""
    why: str = ""

    @property
    def shown(self) -> str:
        """Who it is, and what for."""
        process = f" (process {self.pid})" if self.pid else ""
        return f"{self.owner}{process}{f': {self.why}' if self.why else ''}"

    def is_stale(self, boot_id: str, uptime_s: float) -> bool:
        """Whether the board is free all the same, given its boot id and uptime now.

        It has restarted; or too much time has gone; or the process was one of this machine and
        has ended.
        """
        longest = LONGEST_RUN_S if self.pid else LONGEST_RESERVATION_S
        if self.boot_id != boot_id or uptime_s - self.uptime_s > longest:
            return True
        here = self.pid != 0 and self.machine == this_namespace()
        return here and process_start(self.pid) != self.started


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRecord:
    """``held``: by the process that measures; ``reserved``: for a person's own processes."""

    held: Holder | None = None
    reserved: Holder | None = None

    @property
    def text(self) -> str:
        """What the board keeps; empty where it is free."""
        if self.held is None and self.reserved is None:
            return ""
        return json.dumps(to_json(self), sort_keys=True)


def parse_record(text: str, name: str) -> LockRecord:
    """The record of the board ``name``; `DeviceError` for what no tinyml wrote."""
    if not text:
        return LockRecord()
    hint = f"tinyml device unlock {name} --force"
    what = f"the lock of {name}"
    data = parse_json(text, what=what, error=DeviceError, hint=hint)
    return from_json(LockRecord, data, what=what, error=DeviceError, hint=hint)


def this_process(boot_id: str, uptime_s: float, why: str, *, person: bool = False) -> Holder:
    """Who takes a board now; with ``person`` for longer than this process lives."""
    pid = 0 if person else os.getpid()
    return Holder(
        owner=this_owner(),
        pid=pid,
        started=process_start(pid) if pid else "",
        machine=this_namespace(),
        boot_id=boot_id,
        uptime_s=uptime_s,
        why=why,
        token=secrets.token_hex(8),
    )


def this_owner() -> str:
    """``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        user = f"{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def this_namespace() -> str:
    """Where this process's number counts: this start of this machine, and its container."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink(PROC / 'self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def process_start(pid: int) -> str:
    """When the process started, in the kernel's ticks; empty where there is none."""
    try:
        text = (PROC / f"{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]
