"""Devices that are really reached over ssh or adb, on this machine: fixtures for their links."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import wait_for

from tinyml.core.device import Device
from tinyml.core.process import tied

TOOLS = Path(__file__).parents[1] / "tools"


def need(*programs: str) -> None:
    """Skip the test where this machine lacks one."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@contextmanager
def served(
    module: str, *arguments: str | Path, prefix: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server of ``tools/emulated_board``, which ends with the block, and its port."""
    command = [*prefix, sys.executable, "-m", f"emulated_board.{module}", *map(str, arguments)]
    process = subprocess.Popen(
        tied(command), cwd=TOOLS, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@contextmanager
def stalled_file(path: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the block, what copies ``path`` to a board waits for its end."""
    patch.setattr("tinyml.device.shell_link.sha256", lambda _: "0" * 64)
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    os.write(writer, b"its first half")
    try:
        yield
    finally:
        os.close(writer)


@dataclass(frozen=True, slots=True)
class SshServer:
    """An ssh server and its only user, whose home is ``folder / "home"``.

    ``folder`` holds, too: ``config``, of the client; ``id``, its key; ``known_hosts``; ``bin/ssh``,
    which is ssh with that config.
    """

    folder: Path
    process: subprocess.Popen[str]
    port: int

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def device(self) -> Device:
        return Device(name="board", link="ssh", address="board", python=sys.executable)

    def use(self, patch: pytest.MonkeyPatch) -> Device:
        """Let `tinyml.device.ssh` find this server alone."""
        patch.setenv("PATH", str(self.folder / "bin"), prepend=os.pathsep)
        return self.device


@contextmanager
def ssh_server(
    folder: Path, *, runner: Sequence[str] = (), prefix: Sequence[str] = ()
) -> Iterator[SshServer]:
    """A server in ``folder``, with its own keys.

    ``runner`` starts each line of shell, and ``prefix`` the server itself.
    """
    need("ssh", "ssh-keygen")
    (folder / "home").mkdir(exist_ok=True)
    for key in ("id", "host"):
        make_key(folder / key)
    arguments = (folder / "home", folder / "host", folder / "id.pub", *runner)
    with served("ssh_server", *arguments, prefix=prefix) as (process, port):
        write_config(folder, [Host("board", port, "tester", folder / "host.pub")])
        yield SshServer(folder, process, port)


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


@dataclass(frozen=True, slots=True)
class Host:
    """An ssh server on this machine: ``ssh NAME`` reaches it, for each of the ``names``.

    key  the file of its public key
    """

    names: str
    port: int
    user: str
    key: Path


def write_config(folder: Path, hosts: Sequence[Host]) -> None:
    """The configuration of a client with the key ``folder / "id"``, and an ``ssh`` that reads it.

    It reads no other, and is in ``folder / "bin"``.
    """
    lines, known = [], ""
    for host in hosts:
        lines += [f"Host {host.names}", "  HostName 127.0.0.1"]
        lines += [f"  Port {host.port}", f"  User {host.user}"]
        key = " ".join(host.key.read_text(encoding="ascii").split()[:2])
        known += f"[127.0.0.1]:{host.port} {key}\n"
    (folder / "known_hosts").write_text(known)
    lines += ["Host *", f'  IdentityFile "{folder / "id"}"', "  IdentitiesOnly yes"]
    lines += ["  IdentityAgent none", "  GlobalKnownHostsFile /dev/null"]
    lines += [f'  UserKnownHostsFile "{folder / "known_hosts"}"', ""]
    (folder / "config").write_text("\n".join(lines))
    (folder / "bin").mkdir(exist_ok=True)
    ssh = folder / "bin" / "ssh"
    words = shlex.join([shutil.which("ssh") or "ssh", "-F", str(folder / "config")])
    ssh.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    ssh.chmod(0o755)


@pytest.fixture(scope="session")
def shared_ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture
def ssh_device(shared_ssh_server: SshServer, monkeypatch: pytest.MonkeyPatch) -> Device:
    """This machine over ssh, with a home of its own; tests share its server."""
    return shared_ssh_server.use(monkeypatch)


@pytest.fixture
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """A server that a test may kill."""
    (tmp_path / "server").mkdir()
    with ssh_server(tmp_path / "server") as server:
        server.use(monkeypatch)
        yield server


@dataclass(frozen=True, slots=True)
class PhoneServer:
    """A phone's end of adb, at ``port``, with an adb server of its own at ``adb_port``."""

    home: Path
    process: subprocess.Popen[str]
    port: int
    adb_port: int

    @property
    def device(self) -> Device:
        return Device(name="phone", link="adb", address=f"127.0.0.1:{self.port}", target="android")

    def use(self, patch: pytest.MonkeyPatch) -> Device:
        """Let ``adb`` find this phone alone."""
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(self.adb_port))
        return self.device


@contextmanager
def phone_server(
    folder: Path, *, runner: Sequence[str] = (), prefix: Sequence[str] = ()
) -> Iterator[PhoneServer]:
    """A phone whose home is ``folder / "phone"``; ``runner`` and ``prefix`` as in `ssh_server`."""
    need("adb")
    (folder / "phone").mkdir(exist_ok=True)
    with (
        adb_server(folder) as adb_port,
        served("fake_adbd", folder / "phone", *runner, prefix=prefix) as (process, port),
    ):
        yield PhoneServer(folder / "phone", process, port, adb_port)


@contextmanager
def adb_server(home: Path) -> Iterator[int]:
    """An adb server with its keys in ``home``, which looks for no other phone; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen(
        tied(["adb", "-P", str(port), "nodaemon", "server"]),
        env={**os.environ, "HOME": str(home), "ADB_LOCAL_TRANSPORT_MAX_PORT": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: listens(port))
        yield port
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def shared_phone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PhoneServer]:
    with phone_server(tmp_path_factory.mktemp("adb")) as server:
        yield server


@pytest.fixture
def fake_phone(shared_phone_server: PhoneServer, monkeypatch: pytest.MonkeyPatch) -> Device:
    """This machine over adb, as a phone without Python; tests share its server."""
    return shared_phone_server.use(monkeypatch)
