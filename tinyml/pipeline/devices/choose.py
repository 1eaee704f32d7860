"""Which devices a command runs on (``--device pi4,pi5``, ``--tag lab``), and for which bundles."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tinyml.core.bundle import Bundle
from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.errors import DeviceError, UsageError
from tinyml.core.registry import unknown_name
from tinyml.core.target import HOST, SUFFIX, all_targets
from tinyml.pipeline.devices.inventory import find_device, read_devices


def choose_device(name: str) -> Device:
    """The device called ``name``; this machine where that is empty.

    Raises `UsageError` for an unknown one and for several.
    """
    found = choose_devices(name)
    if len(found) > 1:
        raise UsageError(f"'{name}' are {len(found)} devices: this command takes one")
    return found[0]


def choose_devices(names: str = "", tag: str = "") -> tuple[Device, ...]:
    """Those that ``names`` lists, with commas between them, then those with ``tag``; each once.

    With neither: this machine, which is also called ``host``. Raises `UsageError`, with a
    suggestion, for an unknown name, and for a tag that no device has.
    """
    if not names and not tag:
        return (THIS_MACHINE,)
    known, listed = read_devices(), [name.strip() for name in names.split(",")]
    chosen = [THIS_MACHINE if name == HOST else find_device(name, known) for name in listed if name]
    chosen += _tagged(tag, known.values()) if tag else []
    if not chosen:
        raise UsageError(f"'{names}' names no device", hint=_names(known.values()))
    return tuple({device.name: device for device in chosen}.values())


def check_target(bundle: Bundle, device: Device) -> None:
    """Raise `DeviceError`, naming both targets, where ``bundle`` was made for another one.

    This machine runs any bundle: that is how they are tried out.
    """
    if device.link == THIS_MACHINE.link:
        return
    made_for, found = target_name(bundle.target), target_name(device.target)
    if made_for != found:
        raise DeviceError(
            f"{bundle.folder} was made for {made_for}, and {device.name} is recorded as {found}",
            hint=f"tinyml export ... --target {found}; tinyml device check {device.name} shows "
            "what the board is",
        )


def target_name(target: str) -> str:
    """``target`` without its aliases; of a user's own file, what bundles call it."""
    for own in all_targets().values():
        if target in own.aliases:
            return own.name
    return Path(target).stem if target.endswith(SUFFIX) else target


def _tagged(tag: str, devices: Iterable[Device]) -> list[Device]:
    tagged = [device for device in devices if tag in device.tags]
    if tagged:
        return tagged
    known = {own for device in devices for own in device.tags}
    if not known:
        hint = f"tinyml device add NAME ADDRESS --tag {tag}"
        raise UsageError(f"unknown tag '{tag}': no device has a tag", hint=hint)
    raise unknown_name("tag", tag, known)


def _names(devices: Iterable[Device]) -> str:
    names = ", ".join(device.name for device in devices)
    return f"known: {names}" if names else "tinyml device add NAME ADDRESS"
