"""A board is measured by one process at a time; a lock that nobody has any more is replaced."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from device_faults import When, record

from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.errors import DeviceError
from tinyml.core.events import Event
from tinyml.device.link import CommandResult
from tinyml.device.local import LocalLink
from tinyml.pipeline.devices import lock_record
from tinyml.pipeline.devices.lock import lock_line, locked, release, reserve
from tinyml.pipeline.devices.lock_record import LockRecord, parse_record, this_process
from tinyml.pipeline.devices.lock_store import LockStore, ShellLock, lock_of

USERS: When = "two users, or interrupted"
PI = Device(name="mypi", link="ssh", address="pi")
PHONE = Device(name="pixel", link="adb", address="0123")


@pytest.fixture(params=[PI, PHONE], ids=["agent", "shell"])
def device(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Device:
    monkeypatch.setenv("TINYML_LOCK", str(tmp_path / "a lock"))
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalLink:
    own = lambda link: ShellLock(link, str(tmp_path / "a 'lock'"))  # noqa: E731
    monkeypatch.setattr("tinyml.pipeline.devices.lock_store.ShellLock", own)
    return LocalLink(tmp_path)


def put(store: LockStore, **change: object) -> None:
    """Someone else has the board."""
    state = store.read()
    other = this_process(state.boot_id, state.uptime_s, "benchmark")
    changes = {"owner": "alice@laptop", "machine": "another", **change}
    held = replace(other, **changes)  # type: ignore[arg-type]
    assert store.swap(state.text, LockRecord(held=held).text)


def test_a_board_is_had_within_the_block(link: LocalLink, device: Device) -> None:
    store = lock_of(link, device)
    with locked(link, device, "benchmark"):
        record = parse_record(store.read().text, device.name)
        assert record.held is not None
        assert (record.held.pid, record.held.why) == (os.getpid(), "benchmark")
        with (
            pytest.raises(
                DeviceError, match=rf"{device.name} is in use by .*: benchmark, for \d+ s"
            ),
            locked(link, device, "another"),
        ):
            raise AssertionError("two have it")
    assert store.read().text == ""


def test_a_block_that_fails_gives_it_back(link: LocalLink) -> None:
    with pytest.raises(KeyboardInterrupt), locked(link, PHONE, "benchmark"):
        raise KeyboardInterrupt
    assert lock_line(link, PHONE) == ""


def test_another_machines_lock_is_named_with_its_age(link: LocalLink) -> None:
    store = lock_of(link, PHONE)
    put(store, uptime_s=store.read().uptime_s - 600, pid=4711)
    with pytest.raises(DeviceError) as got, locked(link, PHONE, "mine"):
        raise AssertionError("two have it")
    assert got.value.exit_code == 4
    assert got.value.message == (
        "pixel is in use by alice@laptop (process 4711): benchmark, for 10 min"
    )
    assert "tinyml device unlock pixel --force" in got.value.hint
    record(USERS, "two runs at once", got.value, board="the other run goes on", host="nothing")
    with pytest.raises(DeviceError):
        release(link, PHONE)
    assert release(link, PHONE, force=True).held is not None
    assert lock_line(link, PHONE) == ""


@pytest.mark.parametrize(
    ("device", "stale"),
    [
        (PI, {"boot_id": "the board has restarted since"}),
        (PHONE, {"boot_id": "the board has restarted since"}),
        (PHONE, {"uptime_s": -lock_record.LONGEST_RUN_S}),
        (PHONE, {"machine": "this", "started": "0"}),
        (PHONE, {"machine": "this", "pid": 2**22 + 1}),
    ],
    indirect=["device"],
    ids=["restarted, agent", "restarted", "too old", "number used again", "ended"],
)
def test_a_stale_lock_is_replaced(
    link: LocalLink, device: Device, stale: dict[str, object]
) -> None:
    here = {"machine": lock_record.this_namespace()} if "machine" in stale else {}
    put(lock_of(link, device), **{**stale, **here})
    with locked(link, device, "mine"):
        assert ": mine, for " in lock_line(link, device)
    assert lock_of(link, device).read().text == ""
    record(
        USERS,
        "stale lock: its run has ended, or the board has restarted",
        ("no error: the lock is replaced", 0),
        board="nothing",
        host="nothing",
    )


def test_a_person_reserves_a_board_for_own_processes(
    link: LocalLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reserve(link, PHONE, "week of tests").pid == 0
    with locked(link, PHONE, "mine"):
        assert "in use by" in lock_line(link, PHONE)
    assert lock_line(link, PHONE).startswith("reserved by ")
    monkeypatch.setattr("tinyml.pipeline.devices.lock.this_owner", lambda: "bob@desk")
    with (
        pytest.raises(DeviceError, match=r"is reserved by .*: week of tests, for \d+ s"),
        locked(link, PHONE, "other"),
    ):
        raise AssertionError("it is reserved")
    with pytest.raises(DeviceError, match="is reserved by"):
        reserve(link, PHONE, "")
    assert release(link, PHONE, force=True).reserved is not None
    assert release(link, PHONE) == LockRecord()


def test_what_cannot_be_read_is_freed_by_force(link: LocalLink) -> None:
    assert lock_of(link, PHONE).swap("", "not JSON")
    with pytest.raises(DeviceError, match="is not JSON") as got, locked(link, PHONE, "mine"):
        raise AssertionError("who has it?")
    assert got.value.hint == "tinyml device unlock pixel --force"
    assert release(link, PHONE, force=True) == LockRecord()
    assert lock_line(link, PHONE) == ""


def test_a_phone_without_the_folder_of_its_lock_is_told_apart(tmp_path: Path) -> None:
    store = ShellLock(LocalLink(tmp_path), str(tmp_path / "gone" / "lock"))
    with pytest.raises(DeviceError, match=r"its lock: the folder .*/gone is missing or not writa"):
        store.swap("", "mine")


def test_a_lost_link_is_reported_and_hides_nothing(
    link: LocalLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []

    def lost(*arguments: object, **settings: object) -> CommandResult:
        raise DeviceError("mypi: connection lost")

    def run() -> None:
        with locked(link, PI, "benchmark", events.append):
            monkeypatch.setattr(LocalLink, "run", lost)
            raise DeviceError("the runner died")

    with pytest.raises(DeviceError, match="the runner died"):
        run()
    (event,) = events
    assert "the lock of mypi is left there: mypi: connection lost" in str(event)


def test_this_machine_has_no_lock(link: LocalLink, tmp_path: Path) -> None:
    with locked(link, THIS_MACHINE, "benchmark"), locked(link, THIS_MACHINE, "another"):
        assert sorted(os.listdir(tmp_path)) == []
