"""A picture of a failed export: the error along the network, per engine.

Above: each stage's error as a share of what its policy allows, worst case first; 1 is the
bound. Below: its lowest signal to noise. The first stage out of tolerance is marked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyml.core.bundle import Parity, StageParity
from tinyml.pages.plots import CHOSEN, INK, LINES, drawing, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Exact answers and missing ones have no place on a logarithmic axis: its ends are theirs.
LEAST, MOST = 1e-6, 1e6
MOST_NAMES = 40
COLORS = (*LINES, "#5d6670")


def divergence_plot(parity: Parity, path: Path) -> None:
    """Write a PNG of ``parity`` to ``path``.

    Engines that read stages have a line along the network; outputs as users get them are
    points. Raises `MissingExtraError` without matplotlib.
    """
    order = list(dict.fromkeys(row.stage for row in parity.stages))
    engines = list(dict.fromkeys(row.engine for row in parity.stages))
    with drawing():
        figure = new_figure((max(7.0, 0.28 * len(order) + 2.0), 5.6))
        shares, noise = figure.add_subplot(2, 1, 1), figure.add_subplot(2, 1, 2)
        shares.set_yscale("log")
        # One value alone has no limits of its own: they are set when all is drawn.
        shares.set_autoscaley_on(False)
        noise.set_autoscaley_on(False)
        for place, engine in enumerate(engines):
            rows = [row for row in parity.stages if row.engine == engine]
            color = COLORS[place % len(COLORS)]
            _line(shares, order, [_worst(rows, stage) for stage in order], engine, color)
            _line(noise, order, [_lowest(rows, stage) for stage in order], engine, color)
        _finish(shares, noise, order, parity.first_divergence)
        save_figure(figure, path)


def _line(
    axes: Axes, order: Sequence[str], values: Sequence[float | None], engine: str, color: str
) -> None:
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    axes.plot(
        [place for place, _ in known],
        [value for _, value in known],
        label=engine,
        color=color,
        marker="o" if len(known) < len(order) / 2 else ".",
        linewidth=1.0,
    )


def _worst(rows: Sequence[StageParity], stage: str) -> float | None:
    """The largest error of ``stage`` over its bound; ``None``: fused away everywhere."""
    judged = [row for row in rows if row.stage == stage and row.verdict != "fused away"]
    return max((share(row) for row in judged), default=None)


def share(row: StageParity) -> float:
    """Error over bound, kept on the axis; an answer that is missing or not finite is its end."""
    if row.max_error is None or row.bound is None:
        return MOST
    if row.max_error == 0.0:
        return LEAST
    return min(max(row.max_error / row.bound, LEAST), MOST) if row.bound else MOST


def _lowest(rows: Sequence[StageParity], stage: str) -> float | None:
    found = [row.sqnr_db for row in rows if row.stage == stage and row.sqnr_db is not None]
    return min((db for db in found if math.isfinite(db)), default=None)


def _finish(shares: Axes, noise: Axes, order: Sequence[str], first: StageParity | None) -> None:
    _limit(shares, least=0.1, most=10.0, room=3.0)
    noise.set_ylim(0.0, max([60.0, *_drawn(noise)]) + 10.0)
    shares.axhline(1.0, color=INK, linewidth=0.8, linestyle="--")
    shares.set_ylabel("error / bound")
    noise.set_ylabel("SQNR (dB)")
    shares.legend(loc="upper left", fontsize=7.0, frameon=False, ncols=3)
    shares.set_xticks(range(len(order)), [""] * len(order))
    step = -(-len(order) // MOST_NAMES)
    names = [name if place % step == 0 else "" for place, name in enumerate(order)]
    noise.set_xticks(range(len(order)), names, rotation=60, ha="right", fontsize=7.0)
    if first is None:
        return
    for axes in (shares, noise):
        axes.axvline(order.index(first.stage), color=CHOSEN, linewidth=1.2, alpha=0.6)
    title = f"first out of tolerance: {first.stage} in {first.engine} on {first.case}"
    shares.set_title(title, loc="left", fontweight="bold", parse_math=False)


def _limit(axes: Axes, *, least: float, most: float, room: float) -> None:
    """All that is drawn, and at least what is given."""
    drawn = _drawn(axes)
    axes.set_ylim(min([least, *drawn]) / room, max([most, *drawn]) * room)


def _drawn(axes: Axes) -> list[float]:
    return [float(value) for line in axes.get_lines() for value in np.ravel(line.get_ydata())]
