"""The governor of a board: set to a steady one while it is timed, where that needs no root."""

from __future__ import annotations

import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tinyml.core.errors import DeviceError
from tinyml.core.process import tied
from tinyml.core.quiet import STEADY
from tinyml.core.typed_json import from_json, parse_json
from tinyml.device.agent import Agent

START_S, END_S = 30.0, 10.0


@dataclass(frozen=True, slots=True)
class Governors:
    """Those of the cores before; on ``held`` cores the steady one is set until the block ends."""

    governors: tuple[str, ...] = ()
    held: int = 0

    @property
    def is_steady(self) -> bool:
        """Whether nothing is to be done; of a board that shows none, nothing can be."""
        return self.held > 0 or set(self.governors) <= {STEADY}


@contextmanager
def steady_governor(agent: Agent) -> Iterator[Governors]:
    """Keep the clock of the agent's board at its highest within the block, if this user may.

    A process there holds it, and restores it at the end of the block, or when the link is lost.
    Raises `DeviceError` where that process cannot be started.
    """
    link = agent.link
    command = link.command(agent.program.command(link, ["hold", STEADY]))
    with subprocess.Popen(
        tied(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # after Ctrl-C it still sets the governor back
    ) as process:
        try:
            yield _started(process, link.name)
        finally:
            _end(process)


def _started(process: subprocess.Popen[bytes], name: str) -> Governors:
    """What it prints once the governors are set."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_S)
    line = process.stdout.readline() if ready else b""
    what = f"{name}: the governor's line"
    return from_json(Governors, parse_json(line, what=what, error=DeviceError), what=what)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it set the governors back, and wait until it has."""
    assert process.stdin is not None
    try:
        process.stdin.close()
        process.wait(END_S)
    except (OSError, subprocess.TimeoutExpired):  # the link is lost: there it ends by itself
        process.kill()
