"""The agent on a machine: its file there, and its subcommands as calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinyml.board_scripts import AGENT
from tinyml.core.board_facts import BoardFacts
from tinyml.core.errors import DeviceError
from tinyml.core.files import sha256
from tinyml.core.typed_json import from_json
from tinyml.device.link import CommandResult, Link
from tinyml.device.program import NOT_STARTED, hint_for, how_it_ended
from tinyml.device.runner_output import last_object

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Agent:
    """``agent.py`` at ``path`` on the machine of ``link``."""

    link: Link
    path: str

    def call(
        self, name: str, *arguments: str, timeout_s: float = TIMEOUT_S, python: str = ""
    ) -> dict[str, Any]:
        """What its subcommand ``name`` prints; ``python``: another one than the link's.

        Raises `DeviceError` for what the agent refuses, for a board without Python, and where the
        file there is not the one that was copied.
        """
        command = [python or self.link.python, self.path, name, *arguments]
        result = self.link.run(command, timeout_s=timeout_s)
        found = last_object(result.stdout)
        if found.get("agent_sha256") not in (None, sha256(AGENT)):
            raise DeviceError(
                f"{self.link.name}: {self.path} is not the file that was copied there",
                hint="run the command again; if that does not help, who else uses the board?",
            )
        if "error" in found:
            raise DeviceError(f"{self.link.name}: {found['error']}", hint=found.get("hint", ""))
        if result.code != 0 or "agent_sha256" not in found:
            raise _failed(self.link, command[0], result)
        return found


def push_agent(link: Link) -> Agent:
    """Copy the agent to the machine of ``link``."""
    return Agent(link, link.push(AGENT, AGENT.name))


def read_facts(agent: Agent) -> BoardFacts:
    """What the board is and has; raises `DeviceError` as `Agent.call`."""
    what = f"{agent.link.name}: the agent's facts"
    return from_json(BoardFacts, agent.call("facts"), what=what, error=DeviceError)


def _failed(link: Link, python: str, result: CommandResult) -> DeviceError:
    if result.code in NOT_STARTED:
        return DeviceError(
            f"{link.name} has no Python: {python} cannot be started",
            hint="on the board: sudo apt install python3; or give its place with --python PATH",
        )
    hint = hint_for(result)
    if "SyntaxError" in result.stderr:
        hint = f"{python} is too old: tinyml needs Python 3.9 or newer"
    return DeviceError(f"{link.name}: agent.py {how_it_ended(result)}", hint=hint)
