"""``tinyml device``: the boards that other commands know by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyml.cli.terminal import progress, put, put_json, put_table, say
from tinyml.core.typed_json import to_json

if TYPE_CHECKING:
    from tinyml.core.device import Device
    from tinyml.pipeline.devices.check import DeviceCheck
    from tinyml.pipeline.devices.install import Installed

HELP = """Add your own boards, check them, and install bundles on them.

Commands that use a board take its name: --device NAME.

\b
  tinyml device add mypi pi@raspberrypi.local
  tinyml device check mypi --setup
  tinyml bench demo-bundle --device mypi
"""
LABEL = 14

Name = Annotated[str, typer.Argument(help="The device's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
        replaces=force,
    )
    if as_json:
        put_json(_check_json(found))
        return
    why = f": {found.because}" if found.because else ""
    put(f"{name} is recorded as {found.device.target}{why}")
    _put_pairs(_system_rows(found))
    _say_problems(found)
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
        _list_bundles(name, as_json)
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
    _put_pairs(_recorded_rows(device))


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
        put_json(_check_json(found))
    else:
        _put_pairs([*_recorded_rows(found.device), *_system_rows(found), *_hardware_rows(found)])
        _say_problems(found, blocking=False)
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


def install(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    name: Name,
    called: Annotated[
        str,
        typer.Option("--as", metavar="NAME", help="Its name on the device. Default: its folder's."),
    ] = "",
    service: Annotated[
        str,
        typer.Option(
            metavar="RECORDER",
            help="Listen with the bundle as a systemd user service: a recorder command that prints "
            "raw sound.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Install a bundle on a device, and keep the previous version.

    Copies the bundle, checks every file on the device, and then switches atomically: a program
    that opens the bundle finds the old or the new version, complete. Its service is restarted.

    Examples:

    \b
      tinyml device install demo-bundle mypi
      tinyml device install demo mypi --service "arecord -t raw -f S16_LE -r 4000"
    """
    from tinyml.pipeline.devices.install import install_bundle

    with progress(as_json=False) as report:
        installed = install_bundle(bundle, name, report, called=called, capture=service)
    _put_installed(installed, name, as_json)


def rollback(
    bundle: Annotated[str, typer.Argument(help="The bundle's name on the device.")],
    name: Name,
    as_json: AsJson = False,
) -> None:
    """Return to the previous version of an installed bundle.

    The two versions swap places, so a second rollback undoes the first.
    """
    from tinyml.pipeline.devices.install import roll_back

    with progress(as_json=False) as report:
        installed = roll_back(bundle, name, report)
    _put_installed(installed, name, as_json)


def _put_installed(installed: Installed, name: str, as_json: bool) -> None:
    if as_json:
        put_json(to_json(installed))
        return
    own = installed.bundle
    put(f"{own.name} on {name}: version {own.current} is in use, in {installed.folder}")
    if installed.service:
        say(f"its decisions, on the board: journalctl --user -fu {installed.service}")
    if own.previous:
        say(f"previous version {own.previous}: tinyml device rollback {own.name} {name}")


def _list_bundles(name: str, as_json: bool) -> None:
    from tinyml.pipeline.devices.install import installed_bundles

    found = installed_bundles(name)
    if as_json:
        put_json(to_json(found))
        return
    if not found:
        say(f"no bundle is installed on {name}: tinyml device install BUNDLE {name}")
        return
    rows = [(own.name, own.current, own.previous or "-", f"{own.bytes:,}") for own in found]
    put_table(("bundle", "in use", "previous", "bytes"), rows, whole=("in use", "previous"))


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


def _check_json(found: DeviceCheck) -> dict[str, object]:
    return {"ready": found.ready, **to_json(found)}


def _put_pairs(rows: list[tuple[str, str]]) -> None:
    from tinyml.pages.tables import paragraph

    for label, text in rows:
        put(paragraph(f"{label:<{LABEL}}", text))


def _recorded_rows(device: Device) -> list[tuple[str, str]]:
    from tinyml.pipeline.devices.inventory import place

    rows = [
        ("name", device.name),
        ("reached", place(device)),
        ("target", device.target),
        ("Python", device.python or "the system's python3"),
        ("tags", ", ".join(device.tags) or "-"),
    ]
    return [row for row in rows if row[0] != "Python" or device.link != "adb"]


def _system_rows(found: DeviceCheck) -> list[tuple[str, str]]:
    facts = found.facts
    kernel = f"kernel {facts.kernel}" if facts.kernel else ""
    bits = f"{facts.bits}-bit programs" if facts.bits else ""
    rows = [
        ("board", ", ".join(filter(None, (facts.board or "not known", facts.soc)))),
        ("system", ", ".join(filter(None, (facts.system, kernel, facts.arch, bits)))),
    ]
    if facts.python:
        rows.append(("Python there", f"{facts.python}, {facts.python_path}, {facts.libc}"))
    return rows


def _hardware_rows(found: DeviceCheck) -> Iterator[tuple[str, str]]:
    from tinyml.core.cpu_features import KNOWN

    facts = found.facts
    features = " ".join(own for own in facts.cpu_features if own in KNOWN)
    cores = " ".join([f"{facts.cores or '?'} cores", *facts.cpus])
    clocks = ", ".join(f"{n} of {khz // 1000:,} MHz" for khz, n in Counter(facts.max_khz).items())
    yield "processor", "; ".join(filter(None, (cores, clocks, features)))
    free = f", {facts.memory_free_mb:,} MB free" if facts.memory_free_mb else ""
    pages = f"; pages of {facts.page_kib} KiB" if facts.page_kib else ""
    yield "memory", f"{facts.memory_mb:,} MB{free}{pages}" if facts.memory_mb else "not known"
    if facts.disk_free_mb is not None:
        yield "disk", f"{facts.disk_free_mb:,} MB free in {facts.home}"
    if facts.noexec:
        yield "noexec", f"{', '.join(facts.noexec)}: cannot run programs"
    if facts.python:
        yield "installed", _versions(facts.packages)
        yield "installable", _versions(found.installable)
    yield from facts.more.items()
    yield "lock", found.lock or "free"


def _versions(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}".strip() for name, version in packages.items()) or "nothing"


def _say_problems(found: DeviceCheck, *, blocking: bool = True) -> None:
    for own in found.problems:
        if blocking or not own.blocks:
            say(f"{'problem' if own.blocks else 'warning'}: {own.what}\n  fix: {own.fix}")
