"""Pictures of quantization: the sensitivity of each layer, and the predicted classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyml.core.diagnosis import Confusion, SensitivityAnalysis, decibels, ranked
from tinyml.pages.plots import CHOSEN, INK, LINES, OTHER, drawing, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LAYERS = 20
# More classes than this have no names at their bars.
MOST_NAMES = 20
# Names of more letters are turned.
SHORT = 3


def sensitivity_plot(found: Mapping[str, SensitivityAnalysis], path: Path) -> None:
    """Write a PNG: a panel a format, a row a layer, the most sensitive on top.

    A bar is the SQNR in dB with this layer alone in integers, a dot that with all others
    but this one; the line, with all of them. Raises `MissingExtraError` without matplotlib.
    """
    rows = max(min(len(own.layers), MOST_LAYERS) for own in found.values())
    with drawing():
        figure = new_figure((5.4 * len(found), 1.5 + 0.27 * rows))
        for place, (fmt, own) in enumerate(found.items()):
            _ranking(figure.add_subplot(1, len(found), place + 1), fmt, own)
        save_figure(figure, path)


def _ranking(axes: Axes, fmt: str, own: SensitivityAnalysis) -> None:
    shown = ranked(own)[:MOST_LAYERS]
    places = np.arange(len(shown))
    alone = [layer.alone_db for layer in shown]
    colours = [CHOSEN if place == 0 else OTHER for place in places]
    bars = [db if math.isfinite(db) else 0.0 for db in alone]
    axes.barh(places, bars, height=0.55, color=colours, label="alone")
    for place, db in enumerate(alone):
        if not math.isfinite(db):
            axes.text(0.0, place, decibels(db), va="center")
    rest = [(layer.without_db, place) for place, layer in enumerate(shown)]
    known = [(db, place) for db, place in rest if math.isfinite(db)]
    ends = [db for db, _ in known], [place for _, place in known]
    axes.plot(*ends, "o", color=LINES[0], label="all the others")
    if math.isfinite(own.whole_db):
        axes.axvline(own.whole_db, color=INK, linewidth=0.8, linestyle="--", label="all layers")
    axes.set_yticks(places, [layer.layer for layer in shown], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("SQNR of the outputs (dB)")
    axes.set_title(f"{fmt}: SQNR with one layer quantized", loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7.0)


def classes_plot(found: Mapping[str, Confusion], path: Path) -> None:
    """Write a PNG: a row a file, predicted classes in float and integers, and who became what."""
    with drawing():
        figure = new_figure((8.0, 3.4 * len(found)))
        grid = figure.add_gridspec(len(found), 2, width_ratios=(1.5, 1.0))
        for row, (name, own) in enumerate(found.items()):
            _histogram(figure.add_subplot(grid[row, 0]), name, own)
            _confusion(figure, figure.add_subplot(grid[row, 1]), own)
        save_figure(figure, path)


def _histogram(axes: Axes, name: str, own: Confusion) -> None:
    places = np.arange(len(own.classes))
    axes.bar(places - 0.2, own.histogram(0), width=0.4, color=OTHER, label="float32")
    axes.bar(places + 0.2, own.histogram(1), width=0.4, color=CHOSEN, label="quantized")
    axes.set_ylabel(f"of {own.samples} samples")
    axes.set_title(name, loc="left", fontweight="bold", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    _names(axes, own.classes)


def _confusion(figure: Figure, axes: Axes, own: Confusion) -> None:
    counts = np.zeros((len(own.classes), len(own.classes)))
    for want, got, count in own.pairs:
        counts[want, got] = count
    picture = axes.imshow(counts, cmap="Blues", vmin=0)
    figure.colorbar(picture, ax=axes)
    axes.set_xlabel("class when quantized")
    axes.set_ylabel("class in float32")
    _names(axes, own.classes)
    if len(own.classes) <= MOST_NAMES:
        axes.set_yticks(range(len(own.classes)), own.classes, parse_math=False)


def _names(axes: Axes, classes: Sequence[str]) -> None:
    if len(classes) <= MOST_NAMES:
        turned = 45 if max(map(len, classes)) > SHORT else 0
        axes.set_xticks(range(len(classes)), classes, parse_math=False, rotation=turned)
