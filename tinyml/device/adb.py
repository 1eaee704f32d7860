"""An Android phone over the user's own ``adb``: over USB, or at ``host:port`` over the network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError
from tinyml.device.link import CommandResult
from tinyml.device.local import run_limited
from tinyml.device.shell_link import ShellLink, open_guard, opening_failure

# adb's own commands; a network that does not answer takes longest.
ADB_S = 60.0
# Of all folders only this one may hold programs; adbd sets the variable.
FOLDERS = '"${TMPDIR:-/data/local/tmp}" /data/local/tmp'
# With it exit codes and both streams come back: Android 7 and newer.
SHELL_V2 = "shell_v2"


@contextmanager
def open_link(device: Device) -> Iterator[ShellLink]:
    """A link to ``device``, whose address is a serial number; empty: the only one connected.

    There is no Python there. Raises `DeviceError` where it cannot be reached.
    """
    if shutil.which("adb") is None:
        raise DeviceError(
            "adb is not installed",
            hint="on Debian: apt install adb; elsewhere it comes with Android's platform-tools",
        )
    name, serial = device.name, device.address
    start = ("adb", *(("-s", serial) if serial else ()))
    if ":" in serial:
        connected = _adb("adb", "connect", serial)
        if "connected to" not in connected.stdout:
            raise _failure(name, connected.stdout + connected.stderr)
    features = _adb(*start, "features")
    if features.code:
        raise _failure(name, features.stderr)
    if SHELL_V2 not in features.stdout.split():
        raise DeviceError(f"{name}: its Android is too old", hint="Android 7 or newer is needed")
    client = (*start, "shell")
    with open_guard(name, client, FOLDERS, lambda text: _failure(name, text)) as (guard, folder):
        yield ShellLink(name, device.label, device.python, folder, client, guard)


def _adb(*command: str) -> CommandResult:
    return run_limited(command, Path("/"), "adb", ADB_S)


def _failure(name: str, text: str) -> DeviceError:
    """Why adb could not reach the phone, from what it wrote."""
    hint = "see what this shows: adb devices -l"
    return opening_failure(name, text, _FAILURES, silent="no answer", hint=hint)


# What adb writes -> what happened, and the remedy.
_FAILURES = (
    (
        "unauthorized|still authorizing",
        "the phone has not allowed this computer yet",
        "unlock the phone, and allow USB debugging when it asks",
    ),
    (
        "device offline",
        "the phone is connected, but does not answer",
        "unlock it and plug it in again, or run: adb reconnect",
    ),
    (
        "no devices/emulators found",
        "no phone is connected",
        "switch on USB debugging in its developer options; adb devices lists connected phones",
    ),
    (
        "more than one device",
        "several phones are connected",
        "give one's serial number as the address; adb devices lists them",
    ),
    (
        "device '.*' not found",
        "no phone with this serial number is connected",
        "adb devices lists connected phones",
    ),
    (
        "no permissions|insufficient permissions",
        "you may not use the phone's USB connection",
        "on Debian: apt install android-sdk-platform-tools-common, then plug the phone in again",
    ),
    (
        "failed to connect|cannot connect to|unable to connect",
        "no phone answers at this address",
        "is it on, in this network, and is wireless debugging switched on?",
    ),
)
