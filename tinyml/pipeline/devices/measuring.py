"""A board while it is measured: no other process has it, and its clock is steady if allowed.

All settings are restored at the end, also after Ctrl-C or a lost link.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tinyml.core.averages import PhoneState
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError
from tinyml.core.events import Message, Report, Warned
from tinyml.core.machine_state import MachineState
from tinyml.core.quiet import SET_GOVERNOR, check_quiet
from tinyml.device.agent import push_agent
from tinyml.device.android import phone_state
from tinyml.device.conditions import read_conditions
from tinyml.device.governor import steady_governor
from tinyml.device.how_it_runs import how_it_runs
from tinyml.device.link import Link
from tinyml.device.runner_command import push_runner
from tinyml.pipeline.devices.lock import locked


@contextmanager
def measuring(link: Link, device: Device, report: Report, *, strict: bool) -> Iterator[None]:
    """Have ``device`` alone and steady within the block.

    Raises `DeviceError` where another process has it, and with ``strict`` where it is not quiet.
    """
    with locked(link, device, "tinyml bench", report), ExitStack() as held:
        # An emulated board shows the governors of its host: those are not touched.
        if link.label == "device" and how_it_runs(device) == "runner":
            _steady(link, device, report, held)
        if strict:
            check_quiet(device.name, _state(link, device))
        yield


def _state(link: Link, device: Device) -> MachineState | PhoneState:
    """What ``device`` is doing now."""
    if how_it_runs(device) == "runner":
        return read_conditions(link, push_runner(link)).state
    return phone_state(link)


def _steady(link: Link, device: Device, report: Report, held: ExitStack) -> None:
    """Set the governor if this user may; else the command that does."""
    try:
        found = held.enter_context(steady_governor(push_agent(link)))
    except DeviceError as error:
        report(Warned(f"the governor of {device.name} was not changed: {error.message}"))
        return
    if not found.is_steady:
        names = " and ".join(found.governors)
        report(
            Message(f"{device.name}: its governor is {names}. For a steady clock: {SET_GOVERNOR}")
        )
