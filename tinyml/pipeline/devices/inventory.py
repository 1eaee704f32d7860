"""``devices.toml`` in the user's configuration folder: the boards that commands know by name.

    [mypi]
    link = "ssh"
    address = "pi@raspberrypi.local"
    target = "rpi4"
    python = "/home/pi/.tinyml/venv/bin/python"
    tags = ["lab"]

The file is written whole and under a lock, so that of two commands that change it at the same time
neither loses what the other wrote. The keys are those of `tinyml.core.device.Device`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from tinyml.core.device import Device
from tinyml.core.errors import InputError, UsageError, machine_errors
from tinyml.core.files import config_folder, write_text
from tinyml.core.folders import lock
from tinyml.core.registry import LINKS, unknown_name
from tinyml.core.target import HOST
from tinyml.core.toml_text import read_toml, toml_key, toml_lines
from tinyml.core.typed_json import from_json

FILE = "devices.toml"
HEAD = "# The boards of tinyml device. It writes this file whole: comments in it are not kept.\n"
HINT = "correct that line, or remove the file and add the devices again"
# Not ``.`` and ``..``: folders get the names of devices and bundles.
NAME = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]+")
# Also of a tag: both may be several on a command line, with commas between them.
NAME_HINT = "use letters, digits, '-', '_' and '.'"

Devices = dict[str, Device]


def inventory_file() -> Path:
    """Where the inventory is, or will be."""
    return config_folder() / FILE


def check_name(kind: str, name: str) -> None:
    """Raise `UsageError` for a name that a command line or a file cannot hold plainly."""
    if not NAME.fullmatch(name) or name.startswith("-"):
        raise UsageError(f"'{name}' is not a name for a {kind}", hint=NAME_HINT)
    if kind == "device" and name == HOST:
        raise UsageError(f"'{HOST}' is this machine", hint="choose another name")


def read_devices() -> Devices:
    """Name -> device, in the file's order; none where there is no file.

    Raises `InputError`, naming the file, for anything that is not an inventory.
    """
    path = inventory_file()
    if not path.exists():
        return {}
    return {name: _device(path, name, own) for name, own in read_toml(path, hint=HINT).items()}


def save_device(device: Device, *, replace: bool = False) -> None:
    """Add ``device``; with ``replace`` it may take the place of one with its name.

    Raises `UsageError` for a name that is taken or cannot be one.
    """

    def add(devices: Devices) -> None:
        _check_new(device, devices, replace=replace)
        devices[device.name] = device

    _change(add)


def check_new(device: Device, *, replace: bool = False) -> None:
    """Raise what `save_device` would, before anything else is done."""
    _check_new(device, read_devices(), replace=replace)


def _check_new(device: Device, devices: Devices, *, replace: bool) -> None:
    _check_names(device)
    if device.name in devices and not replace:
        raise UsageError(
            f"there is a device '{device.name}': {place(devices[device.name])}",
            hint="choose another name, or replace it with --force",
        )


def remove_device(name: str) -> Device:
    """Take ``name`` out of the inventory; `UsageError`, with a suggestion, for an unknown one."""
    removed = known_device(name)

    def remove(devices: Devices) -> None:
        devices.pop(name, None)

    _change(remove)
    return removed


def find_device(name: str, devices: Mapping[str, Device]) -> Device:
    """The one called ``name``; `UsageError`, with a suggestion, where there is none."""
    if name in devices:
        return devices[name]
    if not devices:
        raise UsageError(
            f"unknown device '{name}': no device was added yet",
            hint="tinyml device add NAME ADDRESS",
        )
    raise unknown_name("device", name, devices)


def known_device(name: str) -> Device:
    """The device called ``name`` in the inventory; `UsageError` for others, and this machine."""
    if name == HOST:
        raise UsageError(f"'{name}' is this machine", hint="tinyml doctor shows what works here")
    return find_device(name, read_devices())


def place(device: Device) -> str:
    """How it is reached, in a few words."""
    return f"{device.link} {device.address}".strip()


def _check_names(device: Device) -> None:
    check_name("device", device.name)
    for tag in device.tags:
        check_name("tag", tag)


def _change(change: Callable[[Devices], None]) -> None:
    """Read, ``change`` and write the inventory, which no other command does meanwhile."""
    path = inventory_file()
    with machine_errors(f"making {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path, waiting=lambda: None):
        devices = read_devices()
        change(devices)
        write_text(path, _text(devices.values()))


def _text(devices: Iterable[Device]) -> str:
    blocks = [HEAD]
    for device in devices:
        held = {own.name: getattr(device, own.name) for own in fields(Device)}
        table = {key: value for key, value in held.items() if value and key != "name"}
        blocks.append("\n".join([f"[{toml_key(device.name)}]", *toml_lines(table)]) + "\n")
    return "\n".join(blocks)


def _device(path: Path, name: str, table: Any) -> Device:
    what = f"{path}: [{name}]"
    if not isinstance(table, dict):
        raise InputError(f"{path}: '{name}' is not a device: write [{name}]", hint=HINT)
    if "name" in table:
        raise InputError(f"{what}: no key is called 'name'", hint="the name is in the brackets")
    device = from_json(Device, {**table, "name": name}, what=what, hint=HINT, strict=True)
    try:
        _check_names(device)
    except UsageError as error:
        raise InputError(f"{what}: {error.message}", hint=error.hint) from error
    if device.link not in LINKS:
        raise InputError(f"{what}: unknown link '{device.link}'", hint=f"known: {', '.join(LINKS)}")
    return device
