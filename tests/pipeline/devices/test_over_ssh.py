"""A device is added, checked and locked over a real ssh connection."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Done
from device_faults import record

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError
from tinyml.pipeline.devices.add import add_device
from tinyml.pipeline.devices.choose import choose_device
from tinyml.pipeline.devices.inventory import read_devices
from tinyml.pipeline.devices.links import open_link
from tinyml.pipeline.devices.lock import lock_line, locked

Cli = Callable[..., Done]
# This machine as a board: its own Python has wheels for it.
OWN = f"""\
board = "This machine over ssh"
arch = "{platform.machine()}"
cpu = "c"
memory_mb = 0
[systems.own]
python = "{sys.version_info[0]}.{sys.version_info[1]}"
runtimes = {{ litert = "2.3.0" }}
"""


@pytest.fixture
def added(ssh_device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> Device:
    """The board of `ssh_device` as ``mypi``."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "own.toml").write_text(OWN)
    options = ["--target", tmp_path / "own.toml", "--python", ssh_device.python]
    done = cli("device", "add", "mypi", ssh_device.address, *options)
    assert done.returncode == 0, done.stderr
    return choose_device("mypi")


def test_a_board_is_added_checked_and_locked(added: Device, cli: Cli) -> None:
    done = cli("device", "check", "mypi")
    assert done.returncode == 0, done.stderr
    assert f"ssh {added.address}" in done.stdout
    assert "ai-edge-litert" in done.stdout
    with open_link(added) as link, locked(link, added, "benchmark"):
        assert ": benchmark, for" in cli("device", "check", "mypi").stdout
        with (
            open_link(added) as other,
            pytest.raises(DeviceError, match="mypi is in use by"),
            locked(other, added, "another"),
        ):
            raise AssertionError("two have it")
    with open_link(added) as link:
        assert lock_line(link, added) == ""


def test_what_is_measured_on_an_emulator_is_labelled_so(added: Device, cli: Cli) -> None:
    with open_link(added) as link:
        assert link.label == "device"
    again = ["device", "add", "mypi", added.address, "--target", added.target]
    assert cli(*again, "--python", added.python, "--emulated", "--force").returncode == 0
    with open_link(choose_device("mypi")) as link:
        assert link.label == "emulated"
    assert "its times are not those of a board" in cli("device", "show", "mypi").stdout


def test_a_board_without_python_is_not_added(
    ssh_device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("tinyml.device.ssh.PYTHON", "python3-that-is-not-there")
    with pytest.raises(DeviceError) as got:
        add_device("mypi", ssh_device.address)
    assert read_devices() == {}
    names = {"python3-that-is-not-there": "python3"}
    record(
        "preparing the board", "no Python", got.value, board="nothing", host="nothing", names=names
    )
