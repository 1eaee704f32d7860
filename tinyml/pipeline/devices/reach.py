"""A device of the inventory, by its name, with its link open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinyml.core.device import Device
from tinyml.device.link import Link
from tinyml.pipeline.devices.inventory import known_device
from tinyml.pipeline.links import open_link


@contextmanager
def reached(name: str) -> Iterator[tuple[Link, Device]]:
    """The link to the device called ``name``, and the device, within the block."""
    device = known_device(name)
    with open_link(device) as link:
        yield link, device
