"""The curves of a scaling fit with their bands, over the points they were fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.spec import Array
from tinyml.pages.plots import INK, LINES, OTHER, drawing, new_figure, save_figure

TICKS = tuple(digit * 10.0**power for power in range(-1, 5) for digit in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted mean with the half width of its 95% band, over multiply-accumulates.

    ``points`` and ``points_macs`` are what was fitted, ``caption`` the evidence.
    """

    label: str
    macs: Array
    mean: Array
    half_width: Array
    points_macs: Array
    points: Array
    caption: str


def scaling_plot(curves: Sequence[Curve], path: Path, *, title: str) -> None:
    """Write a PNG, one panel per curve; `MissingExtraError` without matplotlib."""
    with drawing():
        figure = new_figure((4.6 * len(curves), 3.6))
        figure.suptitle(title, color=INK)
        for at, curve in enumerate(curves):
            axes = figure.add_subplot(1, len(curves), at + 1)
            low, high = curve.mean - curve.half_width, curve.mean + curve.half_width
            millions = curve.macs / 1e6
            axes.fill_between(millions, low, high, color=OTHER, alpha=0.5, label="95% band")
            axes.plot(millions, curve.mean, color=LINES[0], label="mean")
            axes.plot(
                curve.points_macs / 1e6, curve.points, "o", ms=4, color=LINES[1], label="frontier"
            )
            axes.set_xscale("log")
            ticks = [tick for tick in TICKS if millions[0] <= tick <= millions[-1]]
            axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
            axes.set_xticks([], minor=True)
            axes.set_xlabel("MACs, millions")
            axes.set_ylabel(curve.label)
            axes.set_title(curve.caption, fontsize=8)
            axes.legend(frameon=False, fontsize=8)
        save_figure(figure, path)
