"""A device on which a bundle is about to run: the right one, reached, and this command's alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinyml.core.bundle import Bundle
from tinyml.core.device import Device
from tinyml.core.events import Report
from tinyml.device.how_it_runs import require_runner
from tinyml.device.link import Link
from tinyml.pipeline.devices.choose import check_target
from tinyml.pipeline.devices.links import open_link
from tinyml.pipeline.devices.lock import locked


@contextmanager
def opened(device: Device, bundle: Bundle, verb: str, report: Report) -> Iterator[Link]:
    """The link to ``device``, for the command ``verb`` alone within the block.

    Raises `DeviceError` for a phone, for a device that ``bundle`` was not made for, for one that
    cannot be reached, and for one that another process or person has.
    """
    require_runner(device, verb)
    check_target(bundle, device)
    with open_link(device) as link, locked(link, device, f"tinyml {verb}", report):
        yield link
