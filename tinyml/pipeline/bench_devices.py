"""Benchmarks on several devices at once: a thread for each; one that fails does not stop others.

What a device measured is written as soon as it is done (`tinyml.pipeline.bench`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tinyml.core.device import Device
from tinyml.core.errors import TinymlError, raise_first
from tinyml.core.events import Report
from tinyml.pipeline.bench import Benchmark, bench
from tinyml.pipeline.devices.at_once import at_once, with_name
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

    return at_once(run, devices, report, _outcome)


def check(found: Sequence[DeviceBenchmark]) -> None:
    """Raise the first error of a single device; of several the worst, by its exit code.

    Its details name the others.
    """
    if len(found) == 1:
        raise_first(found[0].errors)
    for own in found:
        for error in own.errors:
            error.message = with_name(own.device.name, error.message)
    every = (error for own in found for error in own.errors)
    raise_first(sorted(every, key=lambda error: -error.exit_code))


def _outcome(own: DeviceBenchmark) -> str:
    return "failed" if own.benchmark is None else f"done: {own.benchmark.path.name}"
