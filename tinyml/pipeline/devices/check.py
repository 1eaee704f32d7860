"""Is a device ready for bundles: its system, what is installed, and problems with fixes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from tinyml.core.board_facts import BoardFacts
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError
from tinyml.core.target import OLDEST_PYTHON, find_target
from tinyml.core.versions import order
from tinyml.device.link import Link
from tinyml.pipeline.devices.choose import target_name
from tinyml.pipeline.devices.facts import board_facts
from tinyml.pipeline.devices.lock import lock_line
from tinyml.pipeline.devices.problems import BoardProblem, problems_of, setup_command
from tinyml.pipeline.devices.reach import reached
from tinyml.pipeline.devices.recognise import recognise
from tinyml.pipeline.devices.wheels import wheels_for

UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class DeviceCheck:
    """``device`` as it was found.

    because      why it is its target, where it was recognised as that one
    installable  package -> the newest version that has a wheel for it
    problems     what prevents bundles from running, and what else is wrong
    lock         who has it; empty: it is free; `UNKNOWN` without a Python that can be asked
    """

    device: Device
    facts: BoardFacts
    because: str
    installable: Mapping[str, str]
    problems: tuple[BoardProblem, ...]
    lock: str = ""

    @property
    def ready(self) -> bool:
        """Whether bundles run there."""
        return not any(problem.blocks for problem in self.problems)

    def require_ready(self) -> None:
        """Raise `DeviceError`, with the first fix as its hint, unless it is `ready`."""
        blocking = [problem for problem in self.problems if problem.blocks]
        if not blocking:
            return
        first, *rest = blocking
        error = DeviceError(f"{self.device.name} is not ready: {first.what}", hint=first.fix)
        error.details = [f"also: {own.what}; fix: {own.fix}" for own in rest]
        raise error


def check_device(name: str) -> DeviceCheck:
    """Reach the device called ``name`` and look at it; `DeviceError` where that fails."""
    with reached(name) as (link, device):
        return judge(link, device, *board_facts(link, device))


def judge(link: Link, device: Device, facts: BoardFacts, wrong_python: str = "") -> DeviceCheck:
    """What follows from ``facts`` of ``device``, which ``link`` reaches."""
    target, found = find_target(device.target), recognise(facts)
    problems = problems_of(facts, device, target, time.time())
    if wrong_python:
        setup = setup_command(device)
        rest = (problem for problem in problems if problem.fix != setup)
        problems = (BoardProblem(wrong_python, setup), *rest)
    old = bool(facts.python) and order(facts.python)[:2] < OLDEST_PYTHON
    return DeviceCheck(
        device,
        facts,
        found.because if found and found.target.name == target_name(device.target) else "",
        wheels_for(target, facts),
        problems,
        UNKNOWN if wrong_python or old else lock_line(link, device),
    )
