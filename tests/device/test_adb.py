"""A phone over adb: what a user sees when it cannot be reached, and what is left when it goes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from boards import PhoneServer, adb_server, need, phone_server, stalled_file
from processes import assert_gone, assert_nothing_of, kill_when

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError
from tinyml.device import adb
from tinyml.device.adb import open_link

PHONE = Device(name="pixel", link="adb")
WRITE_PID = 'echo $$ >"$1-"; mv "$1-" "$1"; exec sleep 600'


def failure(device: Device) -> DeviceError:
    with pytest.raises(DeviceError) as caught, open_link(device):
        pass
    return caught.value


def test_a_phone_has_no_python(fake_phone: Device) -> None:
    with open_link(fake_phone) as link:
        assert (link.name, link.label, link.python) == ("phone", "device", "")


def test_the_only_phone_needs_no_serial_number(fake_phone: Device) -> None:
    with open_link(fake_phone):
        pass
    with open_link(replace(fake_phone, address="")) as link:
        assert link.run(["echo", "1"], timeout_s=60).stdout == "1\n"


def test_adb_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = failure(PHONE)
    assert (error.message, "apt install adb" in error.hint) == ("adb is not installed", True)


def test_a_serial_number_that_no_phone_has(fake_phone: Device) -> None:
    error = failure(replace(fake_phone, address="it's $(id)"))
    assert error.message == "phone: no phone with this serial number is connected"


def test_an_address_at_which_no_phone_answers(fake_phone: Device) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = failure(replace(fake_phone, address=f"127.0.0.1:{free.getsockname()[1]}"))
    assert error.message == "phone: no phone answers at this address"


def test_no_phone_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("adb")
    with adb_server(tmp_path) as port:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
        assert failure(PHONE).message == "pixel: no phone is connected"


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("error: device unauthorized.\nThis adb server's", "the phone has not allowed this"),
        ("error: device offline", "the phone is connected, but does not answer"),
        ("error: more than one device/emulator", "several phones are connected"),
        ("error: insufficient permissions for device", "you may not use the phone's USB"),
        ("mktemp: No space left on device", "no space left for a temporary folder"),
        ("error: something else\n", "error: something else"),
    ],
)
def test_every_failure_has_its_remedy(text: str, failed: str) -> None:
    error = adb._failure("pixel", text)
    assert error.message.startswith(f"pixel: {failed}")
    assert error.hint


def test_an_android_without_exit_codes(fake_phone: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb, "SHELL_V2", "shell_v9")
    assert failure(fake_phone).message == "phone: its Android is too old"


@pytest.fixture
def own_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PhoneServer]:
    """A phone that a test may switch off."""
    (tmp_path / "server").mkdir()
    with phone_server(tmp_path / "server") as server:
        server.use(monkeypatch)
        yield server


def test_a_phone_that_goes_while_a_command_runs(own_phone: PhoneServer, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    kill_when(own_phone.process, pid.exists)
    with open_link(own_phone.device) as link:
        folder = Path(link.folder)
        with pytest.raises(DeviceError, match="running sh: the connection to phone was lost"):
            link.run(["sh", "-c", WRITE_PID, "sh", str(pid)], timeout_s=60)
    assert_gone(int(pid.read_text()))
    assert_nothing_of(folder)


def test_a_phone_that_goes_while_a_file_is_copied(
    own_phone: PhoneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_link(own_phone.device) as link, stalled_file(tmp_path / "half", monkeypatch):
        folder = Path(link.folder)
        kill_when(
            own_phone.process, lambda: any(own.stat().st_size for own in folder.glob(".push-*"))
        )
        with pytest.raises(DeviceError, match=r"copying half to phone: the connection .* lost"):
            link.push(tmp_path / "half", "half")
    assert_nothing_of(folder)
