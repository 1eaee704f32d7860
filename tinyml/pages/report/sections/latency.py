"""How long one call takes: the distribution of every variant, and under which conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinyml.core.text import one_line
from tinyml.core.time_ratio import LEVEL, TimeRatio, time_ratio
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
from tinyml.pages.report.material import Material, Timed
from tinyml.pages.report.svg import NARROW, SERIES, SOFT, Chart
from tinyml.pages.report.units import command, counted, ms_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAD = (
    "Every process is one thin line, so that a process that was slow for its whole life can be "
    "seen; the thick line is all of its samples together."
)
# Quantiles that a line is drawn of: more cannot be told apart.
POINTS, PROCESS_POINTS = 120, 40
# The axis ends here: one slow call would hide all others.
SHOWN = 0.99
LOG_FROM = 3.0
PANEL, LEGEND_ROW, AROUND = 240, 21, 24
# Longer tables are folded.
MOST_ROWS = 6
HOSTS = {
    "host": "These are times of the machine that ran the benchmark, not of the board.",
    "emulated": "The board is emulated: these times are not those of the board.",
    "device": "These are times of the board itself.",
}
CPU_TIME = (
    "The machine was too busy: of some files no process counts. All times here are CPU times, "
    "which other processes disturb less, but which leave out what a call waits for."
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
    found = material.whole
    if not found:
        text = "The latency of this bundle was not measured on any machine. To measure it here:"
        wanted = Missing(text, command("tinyml", "bench", material.name))
        return ReportSection("latency", "Latency", "", [wanted])
    blocks: list[Block] = [Prose(HOSTS[label]) for label in _labels(found)]
    if any(own.measurement.clock == "cpu" for own in found):
        blocks.append(Prose(CPU_TIME))
    for place, (runtime, rows) in enumerate(_by_runtime(found).items()):
        blocks.append(_distribution(f"ecdf-{place}", runtime, rows))
    blocks.append(_figures(material.timed))
    if compared := _differences(found):
        blocks.append(compared)
    blocks += [*_processes(found), _conditions(material)]
    return ReportSection("latency", "Latency", LEAD, blocks)


def _labels(found: Sequence[Timed]) -> list[str]:
    return list(dict.fromkeys(own.measurement.label for own in found))


def _by_runtime(found: Sequence[Timed]) -> dict[str, list[Timed]]:
    grouped: dict[str, list[Timed]] = {}
    for own in found:
        if any(process.samples_ns for process in own.measurement.all_processes):
            grouped.setdefault(own.measurement.runtime, []).append(own)
    return grouped


def _distribution(name: str, runtime: str, found: Sequence[Timed]) -> Chart:
    medians = ", ".join(f"{own.name} {_ms(own.measurement.p50_ns)} ms" for own in found)

    def draw(figure: Figure, width: int) -> None:
        _ecdf(figure, found, width)

    wide, narrow = (AROUND + PANEL + LEGEND_ROW * -(-len(found) // per) for per in (2, 1))
    return Chart(
        name,
        draw,
        title=f"Share of calls that take at most so long, in {runtime}{_clock(found)}",
        alt=f"Cumulative distribution of {counted(len(found), 'file')}. Medians: {medians}. The "
        "values are in the table below.",
        height=(wide, narrow),
        note=f"The axis ends after {SHOWN:.0%} of the calls of each.",
    )


def _ecdf(figure: Figure, found: Sequence[Timed], width: int) -> None:
    axes = figure.add_subplot()
    for place, own in enumerate(found):
        colour = SERIES[place % len(SERIES)]
        for process in own.measurement.processes:
            _line(axes, process.samples_ns, PROCESS_POINTS, colour, linewidth=0.8, alpha=0.45)
        for lost in own.measurement.discarded:
            samples = lost.process.samples_ns
            _line(axes, samples, PROCESS_POINTS, SOFT, linewidth=0.8, linestyle=":")
        samples, label = own.measurement.samples_ns, one_line(own.name, 40)
        _line(axes, samples, POINTS, colour, linewidth=2.2, label=label)
    _time_axis(axes, found)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axes.set_xlabel("one call (ms)")
    figure.legend(loc="outside upper left", ncols=1 if width == NARROW else 2)


def _line(axes: Axes, samples: Sequence[int], points: int, colour: str, **style: Any) -> None:
    """Nothing but the legend's entry where there are no samples."""
    none: NDArray[np.float64] = np.empty(0)
    ms, share = _steps(samples, points) if samples else (none, none)
    axes.plot(ms, share, color=colour, **style)


def _steps(samples_ns: Sequence[int], points: int) -> tuple[NDArray[np.float64], ...]:
    """Milliseconds and the share of calls that take at most as long."""
    share = np.linspace(0, 1, min(points, len(samples_ns) + 1))
    return np.quantile(np.asarray(samples_ns, np.float64), share) / 1e6, share


def _time_axis(axes: Axes, found: Sequence[Timed]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    every = [
        own.measurement.samples_ns
        or [ns for process in own.measurement.all_processes for ns in process.samples_ns]
        for own in found
    ]
    ends = [np.quantile(samples, (0, SHOWN)) / 1e6 for samples in every]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    if high > LOG_FROM * low:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(low / 1.05, high * 1.05)


def _figures(found: Sequence[Timed]) -> Table:
    rows = [
        (
            own.name,
            own.measurement.runtime,
            own.measurement.part_title,
            _ms(own.measurement.p50_ns),
            _ms(own.measurement.p90_ns),
            _ms(own.measurement.first_ns),
            _ms(own.measurement.load_ns),
            _megabytes(own.measurement.peak_rss_kb),
        )
        for own in found
    ]
    head = ("file", "runtime", "part", "median", "p90", "first", "load", "peak MB")
    title = "Milliseconds of one call, of the first call and of loading"
    return Table(f"{title}{_clock(found)}", head, rows)


def _clock(found: Sequence[Timed]) -> str:
    return " (CPU time)" if found[0].measurement.clock == "cpu" else ""


def _ms(nanoseconds: float | None) -> str:
    return "-" if nanoseconds is None else ms_text(nanoseconds).removesuffix(" ms")


def _megabytes(kilobytes: int | None) -> str:
    return "-" if kilobytes is None else f"{kilobytes / 1024:.0f}"


def _differences(found: Sequence[Timed]) -> Table | None:
    """Each file against the first of the same runtime, which is the bundle's own."""
    rows: list[tuple[Cell, ...]] = []
    for of_one in _by_runtime(found).values():
        first, *others = of_one
        for own in others:
            result = time_ratio(first.measurement, own.measurement)
            ratio = _ratio(result)
            rows.append((own.name, first.name, ratio, Badge(result.verdict), result.why or "-"))
    if not rows:
        return None
    head = ("file", "against", f"time ratio ({LEVEL:.0%} interval)", "verdict", "why")
    return without_empty(Table("Differences between files in one runtime", head, rows))


def _ratio(found: TimeRatio) -> str:
    if found.ratio is None:
        return "-"
    interval = "" if found.low is None else f" ({found.low:.2f} to {found.high:.2f})"
    return f"{found.ratio:.2f}{interval}"


def _processes(found: Sequence[Timed]) -> list[Block]:
    rows = [
        (
            own.name,
            f"{own.measurement.runtime} {own.measurement.version}",
            own.measurement.precision or "-",
            f"{len(own.measurement.processes)} of {len(own.measurement.all_processes)}",
            f"{len(own.measurement.samples_ns):,}",
            _ms(own.measurement.min_ns),
            _ms(own.measurement.p99_ns),
            "-" if own.measurement.variation is None else f"{own.measurement.variation:.0%}",
        )
        for own in found
    ]
    head = ("file", "runtime", "computed in", "processes", "samples", "least", "p99", "CV")
    title = "Processes that count, samples, and their variation"
    return [without_empty(Table(title, head, rows, fold=True)), *_discarded(found)]


def _discarded(found: Sequence[Timed]) -> list[Block]:
    rows = [
        (own.name, own.measurement.runtime, lost.reason)
        for own in found
        for lost in own.measurement.discarded
    ]
    if not rows:
        return []
    title = "1 process" if len(rows) == 1 else f"{len(rows)} processes"
    head = ("file", "runtime", "why")
    return [
        Table(f"{title} discarded, dotted in the charts", head, rows, fold=len(rows) > MOST_ROWS)
    ]


def _conditions(material: Material) -> Block:
    """Names and values; of several different machines a column each."""
    sets: dict[tuple[str, ...], None] = {}
    for own in material.taken:
        known = asdict(own.measurement.conditions)
        sets[tuple(_shown(known.get(key)) for key in CONDITIONS)] = None
    columns, names = list(sets), CONDITIONS.values()
    if len(columns) == 1:
        rows = [row for row in zip(names, columns[0], strict=True) if row[1] != "-"]
        return NamedValues(rows, "Conditions")
    head = ["condition", *(f"machine {place}" for place in range(1, len(columns) + 1))]
    table = [(name, *(column[at] for column in columns)) for at, name in enumerate(names)]
    return Table("Conditions", head, table)


def _shown(value: object) -> str:
    return "-" if value is None else str(value)
