"""A lock on each board: two users or processes never measure on it at once.

    with locked(link, device, "benchmark"):
        ...

A person may reserve a board (`reserve`): then only their own processes get the lock. A lock is
stale, and is replaced, when the board has restarted, when its process was one of this machine and
has ended, or when it is too old.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError
from tinyml.core.events import Report, Warned, silent
from tinyml.device.link import Link
from tinyml.pipeline.devices.lock_record import (
    Holder,
    LockRecord,
    parse_record,
    this_owner,
    this_process,
)
from tinyml.pipeline.devices.lock_store import LockState, LockStore, lock_of

TRIES = 5
# Machines that this command alone uses.
WITHOUT_LOCK = ("local", "emulated")


@contextmanager
def locked(link: Link, device: Device, why: str, report: Report = silent) -> Iterator[None]:
    """Have the board alone within the block; ``why``: in a few words, for who is refused.

    Raises `DeviceError`, naming the owner and since when, where another process has it or another
    person has reserved it. A lock that cannot be given back, because the link is lost, is reported:
    the next command of this machine replaces it.
    """
    if device.link in WITHOUT_LOCK:
        yield
        return
    store = lock_of(link, device)
    record, _ = _take(store, device.name, why)
    try:
        yield
    finally:
        try:
            if not store.swap(record.text, replace(record, held=None).text):
                _give_back(store, device.name, record)
        except DeviceError as error:
            report(Warned(f"the lock of {device.name} is left there: {error.message}"))


def reserve(link: Link, device: Device, why: str) -> Holder:
    """Keep the board for this user's own processes until `release`; who has it from now on.

    Raises `DeviceError` where another person or process has it.
    """
    _, mine = _take(lock_of(link, device), device.name, why, person=True)
    return mine


def release(link: Link, device: Device, *, force: bool = False) -> LockRecord:
    """Free the board of this user's reservation, or with ``force`` of whoever has it.

    Returns what it held. Raises `DeviceError` where another person or a process has it.
    """
    store = lock_of(link, device)
    for _ in range(TRIES):
        state = store.read()
        if not force:
            _check_free(_valid(state, device.name), state, device.name)
        if not state.text or store.swap(state.text, ""):
            return _held(state, device.name)
    raise _restless(device.name)


def lock_line(link: Link, device: Device) -> str:
    """Who has the board and since when, in words; empty where it is free."""
    state, record = _read(lock_of(link, device), device.name)
    holders = [("in use by", record.held), ("reserved by", record.reserved)]
    found = [f"{how} {own.shown}, {_age(own, state)}" for how, own in holders if own is not None]
    return "; ".join(found)


def _take(
    store: LockStore, name: str, why: str, *, person: bool = False
) -> tuple[LockRecord, Holder]:
    """Let this process have the board, or with ``person`` this user; the lock, and who has it."""
    for _ in range(TRIES):
        state, record = _read(store, name)
        _check_free(record, state, name)
        mine = this_process(state.boot_id, state.uptime_s, why, person=person)
        taken = replace(record, reserved=mine) if person else replace(record, held=mine)
        if store.swap(state.text, taken.text):
            return taken, mine
    raise _restless(name)


def _give_back(store: LockStore, name: str, mine: LockRecord) -> None:
    """Leave the lock to others, where its text has changed since; unless it is another's by now."""
    for _ in range(TRIES):
        text = store.read().text
        record = parse_record(text, name)
        if record.held is None or record.held != mine.held:
            return
        if store.swap(text, replace(record, held=None).text):
            return
    raise _restless(name)


def _read(store: LockStore, name: str) -> tuple[LockState, LockRecord]:
    state = store.read()
    return state, _valid(state, name)


def _valid(state: LockState, name: str) -> LockRecord:
    """What the lock holds, without what is stale."""
    found = parse_record(state.text, name)
    held, reserved = (
        None if own is None or own.is_stale(state.boot_id, state.uptime_s) else own
        for own in (found.held, found.reserved)
    )
    return LockRecord(held=held, reserved=reserved)


def _check_free(record: LockRecord, state: LockState, name: str) -> None:
    """Raise `DeviceError` where a process has the board, or another person has reserved it."""
    hint = f"wait for it, or if it has certainly ended: tinyml device unlock {name} --force"
    if record.held is not None:
        raise DeviceError(
            f"{name} is in use by {record.held.shown}, {_age(record.held, state)}", hint=hint
        )
    if record.reserved is not None and record.reserved.owner != this_owner():
        own = record.reserved
        raise DeviceError(f"{name} is reserved by {own.shown}, {_age(own, state)}", hint=hint)


def _age(holder: Holder, state: LockState) -> str:
    seconds = max(0.0, state.uptime_s - holder.uptime_s)
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"for {seconds / size:.0f} {unit}"
    return f"for {seconds:.0f} s"


def _held(state: LockState, name: str) -> LockRecord:
    """What it held, stale or not; nothing where that is unreadable, which is freed too."""
    try:
        return parse_record(state.text, name)
    except DeviceError:
        return LockRecord()


def _restless(name: str) -> DeviceError:
    return DeviceError(f"the lock of {name} keeps changing", hint="run the command again")
