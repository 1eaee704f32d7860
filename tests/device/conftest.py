from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from boards import Host, SshServer, make_key, need, ssh_server, write_config
from processes import wait_for
from relu_file import relu_file

from tinyml.core.device import Device
from tinyml.core.process import tied

SSHD = "/usr/sbin/sshd"


@pytest.fixture
def relu(tmp_path: Path) -> Path:
    """A model file for the machines of links."""
    return relu_file(tmp_path)


@pytest.fixture
def openssh_device(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Device]:
    """This machine behind OpenSSH's own server."""
    if not Path(SSHD).exists():
        pytest.skip("sshd is not installed")
    if os.getuid() == 0 and not Path("/run/sshd").is_dir():
        pytest.skip("sshd does not start for root without the folder /run/sshd")
    with _openssh_server(tmp_path_factory.mktemp("openssh")) as server:
        yield replace(server.use(monkeypatch), name="openssh")


@pytest.fixture
def busybox_device(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Device]:
    """This machine with the commands of BusyBox alone, as on small Linux boards."""
    need("busybox")
    tools = tmp_path_factory.mktemp("tools")
    subprocess.run(["busybox", "--install", "-s", tools], check=True)
    with _only(tools, tmp_path_factory.mktemp("server"), monkeypatch) as device:
        yield replace(device, name="busybox")


@pytest.fixture
def toybox_device(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Device]:
    """This machine with Android's commands: mksh and toybox."""
    need("toybox", "mksh")
    tools = tmp_path_factory.mktemp("tools")
    for name in subprocess.check_output(["toybox"], text=True).split():
        (tools / name).symlink_to(shutil.which("toybox") or "")
    (tools / "sh").unlink(missing_ok=True)
    (tools / "sh").symlink_to(shutil.which("mksh") or "")
    with _only(tools, tmp_path_factory.mktemp("server"), monkeypatch) as device:
        yield replace(device, name="toybox")


@contextmanager
def _only(tools: Path, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Device]:
    """This machine over ssh, with the programs of ``tools`` and no others."""
    runner = ("env", f"PATH={tools}", str(tools / "sh"), "-c")
    with ssh_server(folder, runner=runner) as server:
        yield server.use(patch)


@contextmanager
def _openssh_server(folder: Path) -> Iterator[SshServer]:
    """OpenSSH's server in ``folder``, as `boards.ssh_server`."""
    need("ssh", "ssh-keygen")
    home, port = folder / "home", _free_port()
    home.mkdir()
    for key in ("id", "host"):
        make_key(folder / key)
    (folder / "sshd_config").write_text(
        f"""
        ListenAddress 127.0.0.1:{port}
        HostKey {folder / "host"}
        AuthorizedKeysFile {folder / "id.pub"}
        StrictModes no
        PidFile none
        SetEnv XDG_CACHE_HOME={home}
        """
    )
    command = tied([SSHD, "-D", "-e", "-f", f"{folder / 'sshd_config'}"])
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stderr=log, text=True) as process,
    ):
        write_config(folder, [Host("board", port, getpass.getuser(), folder / "host.pub")])
        try:
            wait_for(lambda: b"listening on" in (folder / "log").read_bytes())
            yield SshServer(folder, process, port)
        finally:
            process.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
