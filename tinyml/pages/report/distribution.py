"""The distribution of times of calls: one line for each process, and one for all of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinyml.core.text import one_line
from tinyml.pages.report.material import Timed
from tinyml.pages.report.svg import NARROW, SERIES, SOFT, Chart
from tinyml.pages.report.units import counted, ms_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Quantiles that a line is drawn of: more cannot be told apart.
POINTS, PROCESS_POINTS = 120, 40
# The axis ends here: one slow call would hide all others.
SHOWN = 0.99
LOG_FROM = 3.0
PANEL, LEGEND_ROW, AROUND = 240, 21, 24


def distribution(name: str, where: str, found: Sequence[Timed]) -> Chart:
    """Of ``found``, all in one runtime on one device, which ``where`` names.

    Calls as deployed are dashed, in the colour of the file's calls that follow each other.
    """
    medians = ", ".join(f"{own.full_name} {ms_of(own.measurement.p50_ns)} ms" for own in found)
    paces = dict.fromkeys(own.measurement.pace for own in found if own.measurement.pace)

    def draw(figure: Figure, width: int) -> None:
        _ecdf(figure, found, width)

    wide, narrow = (AROUND + PANEL + LEGEND_ROW * -(-len(found) // per) for per in (2, 1))
    return Chart(
        name,
        draw,
        title=f"Share of calls that take no longer: {where}",
        alt=f"Cumulative distribution of {counted(len(found), 'measurement')}. Medians: "
        f"{medians}. The values are in the table below.",
        height=(wide, narrow),
        note=f"The axis ends after {SHOWN:.0%} of the calls of each."
        + "".join(f" As deployed, dashed: {pace}." for pace in paces),
    )


def _ecdf(figure: Figure, found: Sequence[Timed], width: int) -> None:
    axes = figure.add_subplot()
    names = list(dict.fromkeys(own.name for own in found))
    for own in found:
        colour = SERIES[names.index(own.name) % len(SERIES)]
        for process in own.measurement.processes:
            _line(axes, process.samples_ns, PROCESS_POINTS, colour, linewidth=0.8, alpha=0.45)
        for lost in own.measurement.discarded:
            samples = lost.process.samples_ns
            _line(axes, samples, PROCESS_POINTS, SOFT, linewidth=0.8, linestyle=":")
        samples, label = own.measurement.samples_ns, one_line(own.full_name, 40)
        style = "--" if own.measurement.pace else "-"
        _line(axes, samples, POINTS, colour, linewidth=2.2, linestyle=style, label=label)
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
