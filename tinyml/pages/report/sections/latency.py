"""How long one call takes: the distribution of every variant, and under which conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from tinyml.core.averages import AverageTiming
from tinyml.core.measurement import WHOLE, Label, Measurement
from tinyml.core.time_ratio import LEVEL, TimeRatio, time_ratio
from tinyml.pages.report.averages import average_blocks
from tinyml.pages.report.content import (
    Badge,
    Block,
    Cell,
    Missing,
    NamedValues,
    Prose,
    ReportSection,
    Table,
    without_empty,
)
from tinyml.pages.report.distribution import distribution
from tinyml.pages.report.material import Material, Timed, where_text
from tinyml.pages.report.units import command, ms_of

LEAD = (
    "Every process is one thin line, so that a process that was slow for its whole life can be "
    "seen; the thick line is all of its samples together."
)
# Longer tables are folded.
MOST_ROWS = 6
HOSTS = {
    "host": "These times were measured on the machine that ran the benchmark, not on the board.",
    "emulated": "The board is emulated: these times are not those of the board.",
    "device": "These times were measured on the board.",
}
CPU_TIME = (
    "Too busy: {}. No process of some files counts there, so CPU times are shown: other processes "
    "disturb them less, but they leave out what a call waits for."
)
# What a measurement depends on, in words.
CONDITIONS = {
    "device": "Device",
    "board": "Board",
    "cpu": "Processor",
    "cores": "Cores",
    "threads": "Threads",
    "pinned_cpu": "Pinned to core",
    "governor": "Governor",
    "system": "System",
    "python": "Python",
    "numpy": "NumPy",
}


def section(material: Material) -> ReportSection:
    """Distribution, figures, differences and conditions of what was measured."""
    found = material.timed
    if not found and not material.averages:
        text = "The latency of this bundle was not measured on any machine. To measure it here:"
        wanted = Missing(text, command("tinyml", "bench", material.name))
        return ReportSection("latency", "Latency", "", [wanted])
    blocks: list[Block] = _labels(material)
    if busy := list(dict.fromkeys(own.where for own in found if own.measurement.clock == "cpu")):
        blocks.append(Prose(CPU_TIME.format(", ".join(busy))))
    whole = [own for own in found if own.measurement.part == WHOLE]
    groups = _groups(whole)
    for place, rows in enumerate(groups):
        blocks.append(distribution(f"ecdf-{place}", _title(rows[0]), rows))
    if found:
        blocks.append(_figures(found))
    if compared := _differences(material.whole):
        blocks.append(compared)
    blocks += [
        *_processes(whole),
        *average_blocks(material),
    ]
    if conditions := _conditions(material):
        blocks.append(conditions)
    return ReportSection("latency", "Latency", LEAD if groups else "", blocks)


def _labels(material: Material) -> list[Block]:
    """What the times are of; of several kinds each with its devices."""
    devices: dict[Label, dict[str, None]] = {}
    for own in _every(material):
        devices.setdefault(own.label, {})[own.conditions.device or "unknown device"] = None
    if len(devices) == 1:
        return [Prose(HOSTS[label]) for label in devices]
    return [Prose(f"{', '.join(names)}: {HOSTS[label]}") for label, names in devices.items()]


def _every(material: Material) -> list[Measurement | AverageTiming]:
    return [*(own.measurement for own in material.taken), *material.averages]


def _groups(found: Sequence[Timed]) -> list[list[Timed]]:
    """Those of one device and runtime: times of two devices do not compare."""
    groups: dict[tuple[str, str], list[Timed]] = {}
    for own in found:
        if any(process.samples_ns for process in own.measurement.all_processes):
            groups.setdefault((own.where, own.measurement.runtime), []).append(own)
    return list(groups.values())


def _title(own: Timed) -> str:
    """The runtime and the device of a chart."""
    return f"{own.measurement.runtime} on {own.where}{_clock([own])}"


def _figures(found: Sequence[Timed]) -> Table:
    clocks = {own.measurement.clock for own in found}
    clock = _clock(found) if len(clocks) == 1 else ""
    rows = [
        (
            own.name,
            own.where,
            own.measurement.runtime,
            own.measurement.part_title + (_clock([own]) if len(clocks) > 1 else ""),
            ms_of(own.measurement.p50_ns),
            ms_of(own.measurement.p90_ns),
            ms_of(own.measurement.first_ns),
            ms_of(own.measurement.load_ns),
            _megabytes(own.measurement.peak_rss_kb),
        )
        for own in found
    ]
    head = ("file", "on", "runtime", "part", "median", "p90", "first", "load", "peak MB")
    title = "Milliseconds of one call, of the first call and of loading"
    return Table(f"{title}{clock}", head, rows)


def _clock(found: Sequence[Timed]) -> str:
    return " (CPU time)" if found[0].measurement.clock == "cpu" else ""


def _megabytes(kilobytes: int | None) -> str:
    return "-" if kilobytes is None else f"{kilobytes / 1024:.0f}"


def _differences(found: Sequence[Timed]) -> Table | None:
    """Each file against the first of the same runtime and device, which is the bundle's own."""
    rows: list[tuple[Cell, ...]] = []
    for of_one in _groups(found):
        first, *others = of_one
        for own in others:
            result = time_ratio(first.measurement, own.measurement)
            ratio = _ratio(result)
            rows.append(
                (own.name, first.name, own.where, ratio, Badge(result.verdict), result.why or "-")
            )
    if not rows:
        return None
    head = ("file", "against", "on", f"time ratio ({LEVEL:.0%} interval)", "verdict", "why")
    return without_empty(Table("Differences between files in one runtime", head, rows))


def _ratio(found: TimeRatio) -> str:
    if found.ratio is None:
        return "-"
    interval = "" if found.low is None else f" ({found.low:.2f} to {found.high:.2f})"
    return f"{found.ratio:.2f}{interval}"


def _processes(found: Sequence[Timed]) -> list[Block]:
    if not found:
        return []
    rows = [
        (
            own.full_name,
            own.where,
            f"{own.measurement.runtime} {own.measurement.version}",
            own.measurement.precision or "-",
            f"{len(own.measurement.processes)} of {len(own.measurement.all_processes)}",
            f"{len(own.measurement.samples_ns):,}",
            ms_of(own.measurement.min_ns),
            ms_of(own.measurement.p99_ns),
            "-" if own.measurement.variation is None else f"{own.measurement.variation:.0%}",
        )
        for own in found
    ]
    head = ("file", "on", "runtime", "computed in", "processes", "samples", "least", "p99", "CV")
    title = "Processes that count, samples, and their variation"
    return [without_empty(Table(title, head, rows, fold=True)), *_discarded(found)]


def _discarded(found: Sequence[Timed]) -> list[Block]:
    rows = [
        (own.full_name, own.where, own.measurement.runtime, lost.reason)
        for own in found
        for lost in own.measurement.discarded
    ]
    if not rows:
        return []
    title = "1 process" if len(rows) == 1 else f"{len(rows)} processes"
    head = ("file", "on", "runtime", "why")
    return [
        Table(f"{title} discarded, dotted in the charts", head, rows, fold=len(rows) > MOST_ROWS)
    ]


def _conditions(material: Material) -> Block | None:
    """Names and values; of several different machines a column each."""
    sets: dict[tuple[str, ...], str] = {}
    for own in _every(material):
        known = asdict(own.conditions)
        values = tuple(_shown(known.get(key)) for key in CONDITIONS)
        sets.setdefault(values, where_text(own.conditions, own.label))
    columns, names = list(sets), CONDITIONS.values()
    if not columns:
        return None
    if len(columns) == 1:
        rows = [row for row in zip(names, columns[0], strict=True) if row[1] != "-"]
        return NamedValues(rows, "Conditions")
    places = list(sets.values())
    if len(set(places)) < len(places):
        places = [f"machine {place}" for place in range(1, len(columns) + 1)]
    table = [(name, *(column[at] for column in columns)) for at, name in enumerate(names)]
    return Table("Conditions", ["condition", *places], table)


def _shown(value: object) -> str:
    return "-" if value is None else str(value)
