"""The options that name the user's boards, and what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tinyml.core.device import Device

PANEL = "Devices"

OneDevice = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="A device of tinyml device list: the network computes there.",
        rich_help_panel=PANEL,
    ),
]
SomeDevices = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME,NAME",
        help="Devices of tinyml device list: the files run there.",
        rich_help_panel=PANEL,
    ),
]
Tag = Annotated[
    str,
    typer.Option(metavar="TAG", help="All devices with this tag.", rich_help_panel=PANEL),
]


def one_device(name: str) -> Device:
    """The device called ``name``; this machine where it is empty."""
    from tinyml.core.device import THIS_MACHINE
    from tinyml.pipeline.devices.choose import choose_device

    return choose_device(name) if name else THIS_MACHINE
