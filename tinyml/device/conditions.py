"""The current conditions of a machine, read there by the runner."""

from __future__ import annotations

from dataclasses import dataclass

from tinyml.core.errors import DeviceError
from tinyml.core.machine_state import MachineState
from tinyml.core.measurement import Machine
from tinyml.core.typed_json import from_json, parse_json
from tinyml.device.link import Link
from tinyml.device.program import Program, check_end

COMMAND = "conditions"
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class MachineNow:
    """What a timing depends on there, and what can disturb it."""

    state: MachineState
    machine: Machine


def read_conditions(link: Link, runner: Program) -> MachineNow:
    """The conditions on the machine of ``link``, where the ``runner`` lies."""
    done = link.run(runner.command(link, [COMMAND]), timeout_s=TIMEOUT_S)
    what = f"the conditions of {link.name}"
    check_end(done, f"{what} cannot be read")
    return from_json(MachineNow, parse_json(done.stdout, what=what, error=DeviceError), what=what)
