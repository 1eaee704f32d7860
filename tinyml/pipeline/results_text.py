"""Stored benchmarks as tables for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinyml.core.averages import AverageTiming
from tinyml.core.measurement import WHOLE, Measurement
from tinyml.pages.tables import Section, ms
from tinyml.pipeline import bench_text
from tinyml.pipeline.bench import Benchmark
from tinyml.pipeline.compare_latency import setup_text
from tinyml.pipeline.results import HistoryEntry, Results, StoredBenchmark

UNKNOWN_DATE = "-"


def list_section(found: Results) -> Section:
    """A row for each file."""
    rows = [
        (own.path, _date(own.found.taken), _names(own.found.all_timings), own.found.label)
        for own in found.files
    ]
    return Section("benchmarks, oldest first", ("file", "taken", "of", "label"), rows)


def show_sections(own: StoredBenchmark, *, cpu_time: bool) -> list[Section]:
    """What `tinyml bench` printed when it wrote the file."""
    found = Benchmark(
        own.found.measurements,
        own.path,
        own.found.skipped,
        cpu_time,
        averages=own.found.averages,
        profiles=own.found.profiles,
    )
    first, *others = bench_text.sections(found)
    title = f"{own.path}, {_date(own.found.taken)}: {first.title}"
    return [replace(first, title=title), *others]


def history_sections(entries: Sequence[HistoryEntry]) -> list[Section]:
    """A table for each kind of measurement; each row against the one before it."""
    kinds: dict[str, list[HistoryEntry]] = {}
    for entry in entries:
        kinds.setdefault(_kind(entry.measurement), []).append(entry)
    head = ("taken", "file", "p50 ms", "ratio", "interval", "is")
    return [Section(kind, head, [_row(entry) for entry in own]) for kind, own in kinds.items()]


def _row(entry: HistoryEntry) -> tuple[object, ...]:
    change = entry.change
    known = (_date(entry.taken), entry.path.name, ms(entry.measurement.p50_ns))
    if change is None:
        return (*known, "", "", "first")
    ratio = "-" if change.ratio is None else f"{change.ratio:.3f}"
    interval = "-" if change.low is None else f"{change.low:.3f} to {change.high:.3f}"
    why = f": {change.why}" if change.why else ""
    return (*known, ratio, interval, f"{change.verdict}{why}")


def _kind(m: Measurement) -> str:
    delegate = f", delegate {m.delegate}" if m.delegate else ""
    return f"{m.model}, {m.part}, {m.runtime}{setup_text(m)}{delegate} ({m.label})"


def _names(measurements: Sequence[Measurement | AverageTiming]) -> str:
    """The files that were timed as a whole, each with its runtimes."""
    runtimes: dict[str, dict[str, None]] = {}
    for m in measurements:
        if m.part == WHOLE:
            runtimes.setdefault(m.model, {})[m.runtime] = None
    return ", ".join(f"{model} ({', '.join(own)})" for model, own in runtimes.items())


def _date(taken: str) -> str:
    """``2026-11-30 14:08`` of an ISO date, UTC."""
    return taken[:16].replace("T", " ") or UNKNOWN_DATE
