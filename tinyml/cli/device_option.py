"""The options that choose boards: ``--device`` and ``--tag``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tinyml.core.errors import UsageError
from tinyml.core.target import HOST

if TYPE_CHECKING:
    from tinyml.core.device import Device

PANEL = "Device"

Name = Annotated[str, typer.Argument(help="The device's name.")]
Devices = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME,NAME...",
        help="Boards, by their names in tinyml device list. Default: this machine.",
        rich_help_panel=PANEL,
    ),
]
OneDevice = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Run the network on a board, by its name in tinyml device list.",
        rich_help_panel=PANEL,
    ),
]
Tag = Annotated[
    str | None,
    typer.Option("--tag", metavar="TAG", help="All boards with this tag.", rich_help_panel=PANEL),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Start only if the machine is quiet: governor, load, temperature.",
        rich_help_panel=PANEL,
    ),
]


def devices_of(names: str | None, tag: str | None, target: str) -> tuple[Device, ...]:
    """The devices that the options select; without options, this machine as ``target``.

    Raises `UsageError` for an unknown name or tag, and if a target is given too.
    """
    from tinyml.pipeline.devices.choose import choose_devices
    from tinyml.pipeline.devices.links import this_machine

    if names is None and tag is None:
        return (this_machine(target),)
    if target != HOST:
        raise UsageError(
            f"--target {target} and a device: a device has its own target",
            hint="omit --target; tinyml device show NAME shows the target of a device",
        )
    return choose_devices(names or "", tag or "")


def one_device(name: str) -> Device:
    """The device called ``name``; this machine where it is empty."""
    from tinyml.pipeline.devices.choose import choose_device

    return choose_device(name)
