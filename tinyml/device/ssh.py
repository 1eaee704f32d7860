"""A board over the user's own OpenSSH: their config, agent, jump hosts and known hosts.

One connection carries all commands and files. Host keys are always checked, whatever the config
says; a connection that is silent for `SILENT_S` counts as lost.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, InputError
from tinyml.core.scratch import scratch
from tinyml.device.shell_link import ShellLink, open_guard, opening_failure

CONNECT_S, SILENT_S, ASKS = 10, 20, 4
PYTHON = "python3"
# In the home of the user there, or where temporary files go.
FOLDERS = '"${XDG_CACHE_HOME:-$HOME/.cache}/tinyml" "${TMPDIR:-/tmp}"'
# The socket has a relative name, since its path may have 104 bytes at most.
SOCKET = "s"
IN_FOLDER = ("sh", "-c", 'cd "$0" && exec "$@"')
OPTIONS = (
    *("-T", "-a", "-x", "-S", SOCKET),
    *("-o", "BatchMode=yes"),
    *("-o", "StrictHostKeyChecking=yes"),
    *("-o", f"ConnectTimeout={CONNECT_S}"),
    *("-o", f"ServerAliveInterval={SILENT_S // ASKS}"),
    *("-o", f"ServerAliveCountMax={ASKS}"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "RemoteCommand=none"),
    *("-o", "ControlPersist=no"),
)
MASTER = ("-o", "ControlMaster=yes")
# Without a proxy that works it cannot connect anew where the connection is lost.
CLIENT = ("-o", "ControlMaster=no", "-o", "LogLevel=ERROR", "-o", "ProxyCommand=false")
# No character that a shell treats specially: a config may hand the name to one.
_ADDRESS = re.compile(
    r"(?!-)(?P<user>[\w.+-]+@)?(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>(?!-)[\w.-]+))"
    r"(?::(?P<port>\d{1,5}))?"
)
_OFFENDING = re.compile(r"Offending .*key in (.+):(\d+)")


@dataclass(frozen=True, slots=True)
class _Address:
    """``destination``: a host, or user@host; ``port``: empty for that of ssh's config."""

    destination: str
    port: str

    @property
    def arguments(self) -> tuple[str, ...]:
        return (*(("-p", self.port) if self.port else ()), "--", self.destination)

    @property
    def command(self) -> str:
        """What a user types."""
        return " ".join(["ssh", *(["-p", self.port] if self.port else []), self.destination])


def _parsed(address: str) -> _Address:
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise InputError(
            f"'{address}' is not the address of a board",
            hint="write host, user@host or user@host:port; an IPv6 address in brackets",
        )
    host = found["ipv6"] or found["host"]
    return _Address(f"{found['user'] or ''}{host}", found["port"] or "")


@contextmanager
def open_link(device: Device) -> Iterator[ShellLink]:
    """A link to ``device``, whose address is a host that ``ssh`` can reach.

    Raises `InputError` for what is not an address, `DeviceError` where it cannot be reached.
    """
    address = _parsed(device.address)
    if shutil.which("ssh") is None:
        raise DeviceError("ssh is not installed", hint="on Debian: apt install openssh-client")
    with scratch("link") as folder:
        start = (*IN_FOLDER, str(folder), "ssh", *OPTIONS)
        master, client = ((*start, *own, *address.arguments) for own in (MASTER, CLIENT))
        failure = lambda text: _failure(device.name, address, text)  # noqa: E731
        with open_guard(device.name, master, FOLDERS, failure) as (guard, there):
            python = device.python or PYTHON
            yield ShellLink(device.name, device.label, python, there, client, guard)


def _failure(name: str, address: _Address, text: str) -> DeviceError:
    """Why ssh could not connect, from what it wrote."""
    offending, command = _OFFENDING.search(text), address.command
    key = f"line {offending[2]} of {offending[1]}" if offending else "its old key"
    known = [
        (words, failed, hint.format(command=command, key=key)) for words, failed, hint in _FAILURES
    ]
    silent, hint = f"no answer from {address.destination}", f"see what this shows: {command} true"
    return opening_failure(name, text, known, silent=silent, hint=hint)


# What ssh writes -> what happened, and the remedy.
_FAILURES = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key has changed: this is another board, or it was installed anew",
        "if you know why, remove {key} from the known hosts, then run once: {command}",
    ),
    (
        "Host key verification failed|host key is known for",
        "the host key is not known",
        "run once, and compare the key that it shows with the board's: {command}",
    ),
    (
        "Could not resolve hostname|Name or service not known",
        "no machine with this name was found",
        "is the name right, and the board on? Otherwise use its IP address. Test with: {command}",
    ),
    (
        "Connection refused",
        "the connection was refused: no ssh server answers there",
        "on the board: sudo systemctl enable --now ssh. Then test with: {command}",
    ),
    (
        "timed out|No route to host|unreachable",
        "it does not answer",
        "is it on, and in this network? Test with: {command}",
    ),
    (
        r"Permission denied \(|Too many authentication failures",
        "it accepts none of your keys for this user",
        "is the user name right? Copy your key with ssh-copy-id, then test with: {command}",
    ),
)
