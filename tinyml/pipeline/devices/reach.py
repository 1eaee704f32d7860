"""A device of the inventory, by its name, with its link open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinyml.core.device import Device
from tinyml.device.how_it_runs import require_runner
from tinyml.device.link import Link
from tinyml.pipeline.devices.inventory import known_device
from tinyml.pipeline.devices.links import open_link


@contextmanager
def reached(name: str, *, verb: str = "") -> Iterator[tuple[Link, Device]]:
    """The link to the device called ``name``, and the device, within the block.

    ``verb``: what needs Python there; `DeviceError` for a phone, which has none.
    """
    device = known_device(name)
    if verb:
        require_runner(device, verb)
    with open_link(device) as link:
        yield link, device
