"""The link to a device, from the registry."""

from __future__ import annotations

from contextlib import AbstractContextManager

from tinyml.core import registry
from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.errors import UsageError
from tinyml.core.target import HOST, find_target
from tinyml.device.link import Link


def open_link(device: Device = THIS_MACHINE) -> AbstractContextManager[Link]:
    """The link to ``device``, open within a ``with`` block."""
    opened: AbstractContextManager[Link] = registry.load("link", device.link)(device)
    return opened


def this_machine(target: str) -> Device:
    """This machine as ``target``; raises `UsageError` for an unknown target and for a board."""
    found = find_target(target)
    if not found.is_host:
        raise UsageError(
            f"{found.board} is not this machine",
            hint="tinyml device add NAME ADDRESS, then --device NAME",
        )
    return Device(name=HOST, link=found.link, target=target)
