"""The agent on a machine: its file there, and its subcommands as calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinyml.board_scripts import agent
from tinyml.core.board_facts import BoardFacts
from tinyml.core.errors import DeviceError
from tinyml.core.program_archive import write_program
from tinyml.core.scratch import scratch
from tinyml.core.typed_json import from_json
from tinyml.device.link import Link, ProgramMissingError
from tinyml.device.program import PYTHON_HINT, Program, check_end, how_it_ended, push_program
from tinyml.device.runner_output import last_object

NAME = "agent.zip"
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent's ``program`` on the machine of ``link``."""

    link: Link
    program: Program

    def call(
        self, name: str, *arguments: str, timeout_s: float = TIMEOUT_S, python: str = ""
    ) -> dict[str, Any]:
        """What its subcommand ``name`` prints; ``python``: another one than the link's.

        Raises `DeviceError` for what the agent refuses and for a board without Python, and
        `ValidationError` for a file there that is not the one that was copied.
        """
        _, *command = self.program.command(self.link, [name, *arguments])
        return self._run([python or self.link.python, *command], timeout_s)

    def facts(self, python: str = "") -> BoardFacts:
        """What the board is and has; also where its Python is too old for all else."""
        found = self._run([python or self.link.python, self.program.path, "facts"], TIMEOUT_S)
        what = f"{self.link.name}: the agent's facts"
        return from_json(BoardFacts, found, what=what, error=DeviceError)

    def _run(self, command: list[str], timeout_s: float) -> dict[str, Any]:
        try:
            result = self.link.run(command, timeout_s=timeout_s)
        except ProgramMissingError as error:
            name = self.link.name
            raise DeviceError(
                f"{name} has no Python: {command[0]} is not a program there", hint=PYTHON_HINT
            ) from error
        found = last_object(result.stdout)
        if "error" in found:
            raise DeviceError(f"{self.link.name}: {found['error']}", hint=found.get("hint", ""))
        check_end(result, self.link.name, self.link.name)
        if not found:
            raise DeviceError(f"{self.link.name}: the agent {how_it_ended(result)}")
        return found


def push_agent(link: Link) -> Agent:
    """Copy the agent to the machine of ``link``."""
    with scratch("agent") as folder:
        write_program(folder / NAME, agent)
        return Agent(link, push_program(link, folder / NAME, NAME))
