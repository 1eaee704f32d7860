"""Benchmarks in the JSON files of folders: they are the only store."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.averages import AverageTiming
from tinyml.core.errors import InputError, raise_first
from tinyml.core.measurement import Measurement
from tinyml.core.time_ratio import TimeRatio, time_ratio
from tinyml.pipeline.bench import BenchFile, read_benchmark

PATTERN = "*.bench.json"
COLUMNS = (
    *(
        "file",
        "taken",
        "label",
        "device",
        "model",
        "model_sha256",
        "part",
        "pace",
        "runtime",
        "version",
    ),
    *("threads", "delegate", "precision", "min_ns", "p50_ns", "p90_ns", "p99_ns", "variation"),
    *("mean_ns", "calls_per_s", "load_ns", "first_ns", "peak_rss_kb", "processes", "discarded"),
)


@dataclass(frozen=True, slots=True)
class StoredBenchmark:
    """A file and what is in it."""

    path: Path
    found: BenchFile


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A measurement, and its time against that of the same kind before it, if there is one."""

    path: Path
    taken: str
    measurement: Measurement
    change: TimeRatio | None


@dataclass(frozen=True, slots=True)
class Results:
    """Benchmarks, oldest first; ``damaged``: an error for each file that cannot be used."""

    files: tuple[StoredBenchmark, ...]
    damaged: tuple[InputError, ...]

    def check(self) -> None:
        """Raise the first error of ``damaged``, whose details name the others."""
        raise_first(self.damaged)

    def history(self, *, cpu_time: bool = False) -> list[HistoryEntry]:
        """Every measurement by its kind: model file, part, runtime, threads, pace and device.

        With ``cpu_time`` on the CPU clock, without those that did not record it.
        """
        kinds: dict[tuple[object, ...], list[HistoryEntry]] = {}
        for own in self.files:
            measurements = own.found.measurements
            if cpu_time:
                recorded = (m for m in measurements if all(p.cpu_ns for p in m.all_processes))
                measurements = tuple(m.on_cpu_clock() for m in recorded)
            for m in measurements:
                kind = (m.label, m.runtime, m.model, m.part, m.setup, m.delegate)
                earlier = kinds.setdefault(kind, [])
                change = time_ratio(earlier[-1].measurement, m) if earlier else None
                earlier.append(HistoryEntry(own.path, own.found.taken, m, change))
        return [entry for entries in kinds.values() for entry in entries]

    @property
    def averages(self) -> int:
        """How many timings are a phone's: they have no samples, and so no history."""
        return sum(len(own.found.averages) for own in self.files)

    def csv(self) -> str:
        """A row for each measurement, with the names of `COLUMNS`; what is unknown is empty.

        Averages of phones alone have ``mean_ns``, and no percentiles.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for own in self.files:
            for m in own.found.all_timings:
                valid, every = _counts(m)
                known = {
                    "file": str(own.path),
                    "taken": own.found.taken,
                    "device": m.conditions.device,
                    "threads": m.conditions.threads,
                    "pace": m.plan.pace if m.plan else "",
                    "processes": valid,
                    "discarded": every - valid,
                }
                writer.writerow([known.get(name, getattr(m, name, None)) for name in COLUMNS])
        return text.getvalue()


def _counts(m: Measurement | AverageTiming) -> tuple[int, int]:
    """(processes that count, all of them)."""
    if isinstance(m, AverageTiming):
        return len(m.valid), len(m.processes)
    return len(m.processes), len(m.all_processes)


def read_results(places: Sequence[Path]) -> Results:
    """The benchmarks in files, and in folders and all below them by the name ``*.bench.json``.

    Raises `InputError` where a place does not exist, or there is nothing in any.
    """
    files: list[StoredBenchmark] = []
    damaged: list[InputError] = []
    for path in dict.fromkeys(own for place in places for own in _files(place)):
        try:
            files.append(StoredBenchmark(path, read_benchmark(path)))
        except InputError as error:
            damaged.append(error)
    if not files and not damaged:
        where = ", ".join(map(str, places))
        raise InputError(f"no {PATTERN} in {where}", hint="tinyml bench writes them")
    files.sort(key=lambda own: (own.found.taken, str(own.path)))
    return Results(tuple(files), tuple(damaged))


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from sorted(path for path in place.rglob(PATTERN) if path.is_file())
    elif place.exists():
        yield place
    else:
        raise InputError(f"no such file or directory: {place}")
