"""Benchmarks on several devices at once: a thread for each; one that fails does not stop others.

What a device measured is written as soon as it is done (`tinyml.pipeline.bench`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from tinyml.core.device import Device
from tinyml.core.errors import TinymlError, raise_first
from tinyml.core.events import Event, Message, Progress, Report
from tinyml.core.interruption import watching
from tinyml.pipeline.bench import Benchmark, bench
from tinyml.pipeline.timing import Timing


@dataclass(frozen=True, slots=True)
class DeviceBenchmark:
    """What came of a device: its ``benchmark``, or the ``error`` for which there is none."""

    device: Device
    benchmark: Benchmark | None = None
    error: TinymlError | None = None

    @property
    def errors(self) -> tuple[TinymlError, ...]:
        """All that went wrong there."""
        if self.benchmark is not None:
            return self.benchmark.failed
        return () if self.error is None else (self.error,)


def bench_devices(
    what: Path,
    devices: Sequence[Device],
    *,
    timing: Timing,
    out: Path | None,
    report: Report,
    cpu_time: bool = False,
    strict: bool = False,
) -> list[DeviceBenchmark]:
    """As `bench`, on each of ``devices``, in their order. ``out`` is for a single one.

    Nothing that goes wrong on a device is raised: see `check`.
    """

    def run(device: Device, report: Report) -> DeviceBenchmark:
        own = replace(timing, device=device)
        try:
            found = bench(
                what, timing=own, out=out, report=report, cpu_time=cpu_time, strict=strict
            )
        except TinymlError as error:
            return DeviceBenchmark(device, error=error)
        return DeviceBenchmark(device, found)

    if len(devices) == 1:
        return [run(devices[0], report)]
    return _at_once(run, devices, report)


def check(found: Sequence[DeviceBenchmark]) -> None:
    """Raise the first error of a single device; of several the worst, by its exit code.

    Its details name the others.
    """
    if len(found) == 1:
        raise_first(found[0].errors)
    for own in found:
        for error in own.errors:
            error.message = _with_name(own.device.name, error.message)
    every = (error for own in found for error in own.errors)
    raise_first(sorted(every, key=lambda error: -error.exit_code))


def _at_once(
    run: Callable[[Device, Report], DeviceBenchmark], devices: Sequence[Device], report: Report
) -> list[DeviceBenchmark]:
    """Each in a thread of its own; Ctrl-C interrupts them all, and waits until they have ended."""
    stop, lock = threading.Event(), threading.Lock()

    def watched(device: Device) -> DeviceBenchmark:
        tell = _of_device(device, report, lock)
        with watching(stop):
            found = run(device, tell)
        tell(Progress("", 1, 1))  # its row goes
        tell(Message("failed" if found.benchmark is None else f"done: {found.benchmark.path.name}"))
        return found

    with ThreadPoolExecutor(len(devices)) as pool:
        started = [pool.submit(watched, device) for device in devices]
        try:
            wait(started)
        except BaseException:
            stop.set()
            raise
    return [own.result() for own in started]


def _of_device(device: Device, report: Report, lock: threading.Lock) -> Report:
    """``report`` with the device's name: one row of progress for each."""

    def forward(event: Event) -> None:
        if isinstance(event, Progress):
            event = replace(event, title=device.name, note=event.note or event.title)
        else:
            event = replace(event, text=_with_name(device.name, event.text))
        with lock:
            report(event)

    return forward


def _with_name(name: str, text: str) -> str:
    return text if name in text else f"{name}: {text}"
