"""A board over ssh: what a user sees when it cannot be reached, and what is left when it goes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from boards import Host, SshServer, make_key, need, ssh_server, stalled_file, write_config
from device_faults import When, record
from processes import assert_gone, assert_nothing_of, kill_when, wait_for

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, InputError, TinymlError
from tinyml.device import ssh
from tinyml.device.ssh import open_link

BOARD = Device(name="mypi", link="ssh", address="board")
WRITE_PID = 'echo $$ >"$1-"; mv "$1-" "$1"; exec sleep 600'
PARENT = """
import sys
from tinyml.core.device import Device
from tinyml.device.ssh import open_link
with open_link(Device(name="board", link="ssh", address="board")) as link:
    link.run(["sh", "-c", *sys.argv[1:]], timeout_s=600)
"""
SMALL_DISK = 'mount -t tmpfs -o size=256k none "$0" && exec "$@"'


def failure(device: Device) -> TinymlError:
    with pytest.raises(TinymlError) as caught, open_link(device):
        pass
    return caught.value


def unreached(fault: str, error: TinymlError) -> None:
    record("reaching the board", fault, error, board="nothing", host="nothing")


def gone(
    when: When, fault: str, error: TinymlError, names: Mapping[str, str] | None = None
) -> None:
    """No process and no folder of the link is there any more."""
    record(when, fault, error, board="nothing", host="nothing", names=names)


@pytest.fixture
def client(tmp_path: Path, shared_ssh_server: SshServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a client of the shared server, which a test may spoil."""
    server = shared_ssh_server
    for name in ("id", "id.pub"):
        (tmp_path / name).write_bytes((server.folder / name).read_bytes())
    (tmp_path / "id").chmod(0o600)
    write_config(tmp_path, [Host("board", server.port, "tester", server.folder / "host.pub")])
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    return tmp_path


@pytest.mark.usefixtures("client")
def test_a_client_with_all_it_needs_reaches_the_board() -> None:
    with open_link(BOARD) as link:
        assert (link.name, link.label, link.python) == ("mypi", "device", "python3")
        folder = Path(link.folder)
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


@pytest.mark.usefixtures("client")
def test_a_name_that_no_machine_has() -> None:
    error = failure(replace(BOARD, address="no-such-board.invalid"))
    assert error.message == "mypi: no machine with this name was found"
    assert "Test with: ssh no-such-board.invalid" in error.hint
    unreached("host name not found", error)


@pytest.mark.usefixtures("client")
def test_a_refused_connection() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = failure(replace(BOARD, address=f"me@127.0.0.1:{free.getsockname()[1]}"))
    assert error.message == "mypi: the connection was refused: no ssh server answers there"
    assert "systemctl enable --now ssh" in error.hint
    unreached("connection refused", error)


@pytest.mark.usefixtures("client")
def test_a_board_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "OPTIONS", ("-o", "ConnectTimeout=1", *ssh.OPTIONS))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        error = failure(replace(BOARD, address=f"127.0.0.1:{silent.getsockname()[1]}"))
    assert error.message == "mypi: it does not answer"
    unreached("no answer", error)


def test_a_key_that_the_board_does_not_know(client: Path) -> None:
    for name in ("id", "id.pub"):
        (client / name).unlink()
    make_key(client / "id")
    error = failure(BOARD)
    assert error.message == "mypi: it accepts none of your keys for this user"
    assert "ssh-copy-id" in error.hint
    unreached("wrong key", error)


def test_a_host_key_that_is_not_known_is_never_accepted(client: Path) -> None:
    (client / "known_hosts").write_text("")
    config = (client / "config").read_text()
    (client / "config").write_text(f"StrictHostKeyChecking no\n{config}")
    error = failure(BOARD)
    assert error.message == "mypi: the host key is not known"
    assert error.hint.endswith("compare the key that it shows with the board's: ssh board")
    assert (client / "known_hosts").read_text() == ""
    unreached("unknown host key", error)


def test_a_host_key_that_changed(client: Path) -> None:
    make_key(client / "other")
    host = (client / "known_hosts").read_text().split()[0]
    (client / "known_hosts").write_text(f"{host} {(client / 'other.pub').read_text()}")
    error = failure(BOARD)
    assert "the host key has changed" in error.message
    assert f"remove line 1 of {client / 'known_hosts'}" in error.hint
    unreached("changed host key", error)


@pytest.mark.parametrize("address", ["", "-oProxyCommand=x", "a b", "$(id)", "a;b", "x@-v", "é:p"])
def test_what_is_not_an_address_reaches_no_program(address: str) -> None:
    with pytest.raises(InputError, match="is not the address of a board"):
        open_link(replace(BOARD, address=address)).__enter__()


def test_a_connection_that_is_lost_while_a_command_runs(
    own_server: SshServer, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    kill_when(own_server.process, pid.exists)
    with open_link(own_server.device) as link:
        folder = Path(link.folder)
        with pytest.raises(
            DeviceError, match="running sh: the connection to board was lost"
        ) as caught:
            link.run(["sh", "-c", WRITE_PID, "sh", str(pid)], timeout_s=60)
    assert "is it still on" in caught.value.hint
    assert_gone(int(pid.read_text()))
    assert_nothing_of(folder)
    gone("while a model runs", "ssh server killed in mid-run", caught.value)


def test_a_connection_that_is_lost_while_a_file_is_copied(
    own_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_link(own_server.device) as link, stalled_file(tmp_path / "half", monkeypatch):
        folder = Path(link.folder)
        kill_when(
            own_server.process, lambda: any(own.stat().st_size for own in folder.glob(".push-*"))
        )
        with pytest.raises(
            DeviceError, match=r"copying half to board: the connection .* lost"
        ) as caught:
            link.push(tmp_path / "half", "half")
    assert_nothing_of(folder)
    gone("copying files", "ssh server killed in mid-push", caught.value)


def test_a_board_that_falls_silent(own_server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")
    monkeypatch.setattr(ssh, "OPTIONS", (*alive, *ssh.OPTIONS))
    with open_link(own_server.device) as link:
        own_server.process.send_signal(signal.SIGSTOP)
        with pytest.raises(DeviceError, match="running echo: the connection to board was lost"):
            link.run(["echo", "1"], timeout_s=60)


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_of_a_killed_command(
    kill: signal.Signals, ssh_device: Device, shared_ssh_server: SshServer, tmp_path: Path
) -> None:
    pid, links = tmp_path / "pid", shared_ssh_server.home / ".cache" / "tinyml"
    command = [sys.executable, "-c", PARENT, WRITE_PID, "sh", str(pid)]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE) as parent:
        wait_for(pid.exists)
        left = list(links.iterdir())
        assert left
        os.killpg(parent.pid, kill)  # As a terminal does for Ctrl-C
        assert parent.communicate()[1].endswith(b"" if kill == signal.SIGKILL else b"Interrupt\n")
    assert_gone(int(pid.read_text()))
    for folder in left:
        assert_nothing_of(folder)


def test_a_full_disk_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("unshare")
    cache = tmp_path / "home" / ".cache"
    cache.mkdir(parents=True)
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    small_disk = ("unshare", "-Urm", "sh", "-c", SMALL_DISK, str(cache))
    if subprocess.run([*small_disk, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a user may not mount a file system here")
    with (
        ssh_server(tmp_path, prefix=small_disk) as server,
        open_link(server.use(monkeypatch)) as link,
    ):
        with pytest.raises(DeviceError, match="copying large to board: no space left in") as caught:
            link.push(tmp_path / "large", "large")
        assert caught.value.hint == "free some space on board"
        assert link.run(["ls"], timeout_s=60).stdout.split() == []
    names = {caught.value.message.rpartition(" ")[2]: "FOLDER"}
    gone("copying files", "disk full on the board", caught.value, names)


def test_what_a_board_that_was_switched_off_has_left_is_removed(ssh_device: Device) -> None:
    with open_link(ssh_device) as link:
        parent = Path(link.folder).parent
    dead = subprocess.Popen(["true"])
    dead.wait()
    left, others = parent / "tinyml-link-dead", parent / "tinyml-link-others"
    for folder, text in ((left, f"{dead.pid}\n"), (others, f"{os.getpid()}\n")):
        folder.mkdir()
        (folder / ".guard").write_text(text)
    with open_link(ssh_device):
        assert (left.exists(), others.exists()) == (False, True)
    shutil.rmtree(others)
