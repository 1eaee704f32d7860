"""Where a board keeps its lock, and how it is changed at once: by the agent, or by a shell."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Protocol

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError
from tinyml.core.typed_json import from_json
from tinyml.device.agent import Agent, push_agent
from tinyml.device.how_it_runs import how_it_runs
from tinyml.device.link import Link

TIMEOUT_S = 30.0
SHELL_LOCK = "/data/local/tmp/tinyml.lock"
NOT_WRITABLE = 9  # Exit code of `SWAP`.
# $1 the file, $2 what it holds, $3 what it is to hold, $4 a free name. A shell's ``set -C`` makes a
# file only where there is none.
READ = """cat "$1" 2>/dev/null; echo; cat /proc/sys/kernel/random/boot_id; cat /proc/uptime"""
SWAP = """[ -d "${1%/*}" ] && [ -w "${1%/*}" ] || {
  echo "the folder ${1%/*} is missing or not writable" >&2; exit 9
}
set -C
if [ -n "$2" ]; then
  [ "$(cat "$1")" = "$2" ] && mv "$1" "$4" || exit 1
  [ "$(cat "$4")" = "$2" ] || { mv "$4" "$1"; exit 1; }
  rm "$4"
fi
[ -z "$3" ] || printf %s "$3" > "$1"
"""


@dataclass(frozen=True, slots=True)
class LockState:
    """``text``: what the lock holds; ``took``: whether a change was made; the board's own rest."""

    text: str
    boot_id: str
    uptime_s: float
    took: bool = False


class LockStore(Protocol):
    """The lock of one board."""

    def read(self) -> LockState:
        """What it holds."""

    def swap(self, old: str, new: str) -> bool:
        """Let it hold ``new`` if it holds ``old``; whether it did. Empty: the board is free."""


@dataclass(frozen=True, slots=True)
class AgentLock:
    """A file that the agent changes while it holds it."""

    agent: Agent

    def read(self) -> LockState:
        return self._call()

    def swap(self, old: str, new: str) -> bool:
        return self._call(old, new).took

    def _call(self, *texts: str) -> LockState:
        found = self.agent.call("lock", *texts, timeout_s=TIMEOUT_S)
        what = f"{self.agent.link.name}: the agent's lock"
        return from_json(LockState, found, what=what, error=DeviceError)


@dataclass(frozen=True, slots=True)
class ShellLock:
    """A file that a shell changes, where there is no Python.

    Taking a free board is atomic; of two that replace the same stale lock in one instant, the
    second puts back what it took away.
    """

    link: Link
    path: str = SHELL_LOCK

    def read(self) -> LockState:
        result = self.link.run(["sh", "-c", READ, "sh", self.path], timeout_s=TIMEOUT_S)
        lines = result.stdout.splitlines()
        if result.code != 0 or len(lines) < 3:
            raise DeviceError(f"{self.link.name}: reading its lock: {result.last_line}")
        text, boot_id, uptime = lines[0], lines[-2], lines[-1].split()[0]
        return LockState(text, boot_id, float(uptime))

    def swap(self, old: str, new: str) -> bool:
        free = f"{self.path}.{secrets.token_hex(4)}"
        command = ["sh", "-c", SWAP, "sh", self.path, old, new, free]
        result = self.link.run(command, timeout_s=TIMEOUT_S)
        if result.code == NOT_WRITABLE:
            raise DeviceError(f"{self.link.name}: changing its lock: {result.last_line}")
        return result.code == 0


def lock_of(link: Link, device: Device) -> LockStore:
    """The lock of ``device``, which ``link`` reaches."""
    if how_it_runs(device) == "runner":
        return AgentLock(push_agent(link))
    return ShellLock(link)
