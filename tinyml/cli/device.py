"""``tinyml device``: the boards that other commands know by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from tinyml.cli.device_bundles import install, list_bundles, rollback
from tinyml.cli.device_option import Name
from tinyml.cli.device_rows import (
    check_json,
    hardware_rows,
    put_pairs,
    recorded_rows,
    say_problems,
    system_rows,
)
from tinyml.cli.terminal import AsJson, progress, put, put_json, put_table, say
from tinyml.core.typed_json import to_json

HELP = """Add your own boards, check them, and install bundles on them.

Commands that use a board take its name: --device NAME.

\b
  tinyml device add mypi pi@raspberrypi.local
  tinyml device check mypi --setup
  tinyml bench demo-bundle --device mypi
"""


def add(
    name: Annotated[str, typer.Argument(help="A name of your choice: mypi.")],
    address: Annotated[
        str,
        typer.Argument(
            help="[user@]host[:port], or a host in your ssh configuration; for adb, the "
            "serial number that adb devices shows."
        ),
    ],
    target: Annotated[
        str, typer.Option(help="rpi4, ... or your own FILE.toml. Default: detected.")
    ] = "",
    link: Annotated[
        str, typer.Option(metavar="ssh|adb", help="How to connect. Default: the target's, or ssh.")
    ] = "",
    python: Annotated[
        str, typer.Option(metavar="PATH", help="Python on the board. Default: python3.")
    ] = "",
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="A tag that selects several devices. Repeatable."),
    ] = None,
    emulated: Annotated[
        bool,
        typer.Option("--emulated", help="It is an emulator: its times are not those of a board."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the device with this name.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Connect to a board, detect its target, and save it under a name.

    Reads the board's model, operating system and Python, and chooses the target from them. Does
    not add a board that it cannot reach.

    Examples:

    \b
      tinyml device add mypi pi@raspberrypi.local --tag lab
      tinyml device add pixel 0123456789ABCDEF --link adb
    """
    from tinyml.pipeline.devices.add import add_device

    found = add_device(
        name,
        address,
        target=target,
        link=link,
        python=python,
        tags=tuple(tag or ()),
        emulated=emulated,
        replaces=force,
    )
    if as_json:
        put_json(check_json(found))
        return
    why = f": {found.because}" if found.because else ""
    put(f"{name} is recorded as {found.device.target}{why}")
    put_pairs(system_rows(found))
    say_problems(found)
    if found.ready:
        say(f"ready: {name} runs bundles for {found.device.target}")


def list_(
    name: Annotated[str | None, typer.Argument(help="A device: list the bundles on it.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the devices, or the bundles that are installed on one.

    Without NAME, it lists the devices that you have added, and reaches none of them.
    """
    from tinyml.pipeline.devices.inventory import inventory_file, read_devices

    if name is not None:
        list_bundles(name, as_json)
        return
    devices = list(read_devices().values())
    if as_json:
        put_json(to_json(devices))
        return
    if not devices:
        say(f"there is no device in {inventory_file()} yet: tinyml device add NAME ADDRESS")
        return
    rows = [(own.name, own.link, own.address, own.target, ", ".join(own.tags)) for own in devices]
    put_table(("name", "link", "address", "target", "tags"), rows, whole=("name", "link"))


def show(name: Name, as_json: AsJson = False) -> None:
    """Show the entry of a device. To connect and check it, use tinyml device check."""
    from tinyml.pipeline.devices.inventory import known_device

    device = known_device(name)
    if as_json:
        put_json(to_json(device))
        return
    put_pairs(recorded_rows(device))


def check(
    name: Name,
    setup: Annotated[
        bool,
        typer.Option(
            "--setup",
            help="Install what bundles need: numpy and the runtimes, in a separate virtual "
            "environment. The board needs no network.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a device: its system, what is installed, and each problem with its fix.

    The exit code is 0 if bundles run on the device, and 4 if not.

    Example: tinyml device check mypi --setup
    """
    from tinyml.pipeline.devices.check import check_device

    if setup:
        from tinyml.pipeline.devices.setup import setup_device

        with progress(as_json=False) as report:
            found = setup_device(name, report)
    else:
        found = check_device(name)
    if as_json:
        put_json(check_json(found))
    else:
        put_pairs([*recorded_rows(found.device), *system_rows(found), *hardware_rows(found)])
        say_problems(found, blocking=False)
    found.require_ready()
    if not as_json:
        say(f"ready: {name} runs bundles for {found.device.target}")


def lock(
    name: Name,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason, shown to others.")] = "",
    as_json: AsJson = False,
) -> None:
    """Reserve a device for your own commands, until tinyml device unlock.

    Commands lock a device by themselves while they measure; a reservation also holds between your
    commands. It ends when the board restarts, or after a week.
    """
    from tinyml.pipeline.devices.lock import reserve
    from tinyml.pipeline.devices.reach import reached

    with reached(name) as (link, device):
        holder = reserve(link, device, why)
    if as_json:
        put_json(to_json(holder))
    else:
        put(f"{name} is reserved by {holder.shown}")


def unlock(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Also if someone else holds it.")] = False,
    as_json: AsJson = False,
) -> None:
    """End your reservation of a device."""
    from tinyml.pipeline.devices.lock import release
    from tinyml.pipeline.devices.reach import reached

    with reached(name) as (link, device):
        record = release(link, device, force=force)
    if as_json:
        put_json(to_json(record))
        return
    holders = [own for own in (record.held, record.reserved) if own is not None]
    for holder in holders:
        put(f"{name} is free: it was taken by {holder.shown}")
    if not holders:
        put(f"{name} is free")


def remove(name: Name, as_json: AsJson = False) -> None:
    """Remove a device from the list. What was installed on it stays there."""
    from tinyml.pipeline.devices.inventory import place, remove_device

    removed = remove_device(name)
    if as_json:
        put_json(to_json(removed))
    else:
        put(f"removed: {name} ({place(removed)})")


VERBS: dict[str, Callable[..., None]] = {
    "add": add,
    "list": list_,
    "show": show,
    "check": check,
    "lock": lock,
    "unlock": unlock,
    "remove": remove,
    "install": install,
    "rollback": rollback,
}
