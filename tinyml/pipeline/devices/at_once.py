"""Work on several devices at once, a thread for each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TypeVar

from tinyml.core.device import Device
from tinyml.core.events import Event, Message, Progress, Report
from tinyml.core.interruption import watching

T = TypeVar("T")


def at_once(
    run: Callable[[Device, Report], T],
    devices: Sequence[Device],
    report: Report,
    outcome: Callable[[T], str],
) -> list[T]:
    """``run`` of each of ``devices``, in their order, each with a row of progress of its own.

    When one ends, its ``outcome`` is reported. Ctrl-C interrupts them all, and waits until they
    have ended. A single one runs in this thread.
    """
    if len(devices) == 1:
        return [run(devices[0], report)]
    stop, lock = threading.Event(), threading.Lock()

    def watched(device: Device) -> T:
        tell = _of_device(device, report, lock)
        with watching(stop):
            found = run(device, tell)
        tell(Progress("", 1, 1))  # its row goes
        tell(Message(outcome(found)))
        return found

    with ThreadPoolExecutor(len(devices)) as pool:
        started = [pool.submit(watched, device) for device in devices]
        try:
            wait(started)
        except BaseException:
            stop.set()
            raise
    return [own.result() for own in started]


def with_name(name: str, text: str) -> str:
    """``text`` with ``name`` before it, unless it names it already."""
    return text if name in text else f"{name}: {text}"


def _of_device(device: Device, report: Report, lock: threading.Lock) -> Report:
    """``report`` with the device's name: one row of progress for each."""

    def forward(event: Event) -> None:
        if isinstance(event, Progress):
            event = replace(event, title=device.name, note=event.note or event.title)
        else:
            event = replace(event, text=with_name(device.name, event.text))
        with lock:
            report(event)

    return forward
