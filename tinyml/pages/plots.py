"""Pictures: what the model sees of a recording and says of it; how training went.

Drawn without pyplot and without the user's style, so the same numbers give the same
bytes from the same matplotlib.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.files import write_bytes
from tinyml.core.spec import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
RANGE_DB = 40.0
CHOSEN, OTHER, INK = "#c8452d", "#b9c0c9", "#22272e"
LINES = ("#2b5c9e", "#c8452d", "#3f8f5b", "#8a5aa8", "#b8862b")
TICKS_HZ = (10, 20, 25, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12800)
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def scalogram_plot(
    scalogram: Array,
    frequencies_hz: Sequence[float],
    frame_rate_hz: float,
    *,
    title: str,
    probabilities: Mapping[str, float],
    label: str,
    path: Path,
) -> None:
    """Write a PNG of log10 power [scales, frames] with the probability of each class.

    Row ``i`` is at ``frequencies_hz[i]``; power is shown in dB, its loudest
    40 dB.
    Raises `InputError` when shapes do not fit, `MissingExtraError` without matplotlib.
    """
    values, frequencies = _ascending(scalogram, frequencies_hz)
    with drawing():
        figure = new_figure((8.0, 3.4))
        grid = figure.add_gridspec(1, 3, width_ratios=(1.0, 0.022, 0.34))
        picture, bar, side = (figure.add_subplot(grid[0, column]) for column in range(3))
        _picture(picture, bar, values, frequencies, frame_rate_hz)
        picture.set_title(title, loc="left", fontweight="bold", parse_math=False)
        _probability_bars(side, probabilities, label)
        save_figure(figure, path)


def curve_plot(curve: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a PNG of a learning curve: one mapping an epoch, of names to numbers.

    ``epoch`` is the horizontal axis, else the place in ``curve``. Names with ``loss``
    share one panel; what lies between 0 and 1 another, the learning rate excepted. Other
    numbers, such as seconds, are not drawn.
    """
    if not curve:
        raise InputError("the learning curve is empty: nothing was trained")
    epochs = [float(row.get("epoch", place + 1)) for place, row in enumerate(curve)]
    names = [name for name in _numbers(curve) if name != "epoch"]
    losses = [name for name in names if "loss" in name]
    scores = [name for name in names if name not in losses and _is_score(curve, name)]
    panels = [panel for panel in (losses, scores) if panel]
    if not panels:
        raise InputError("the learning curve has neither a loss nor a score")
    with drawing():
        figure = new_figure((4.2 * len(panels), 3.2))
        for place, panel in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), place + 1)
            _lines(axes, epochs, {name: _column(curve, name) for name in panel})
            axes.set_ylabel("loss" if panel is losses else "score")
            if panel is scores:
                axes.set_ylim(0, 1.02)
        save_figure(figure, path)


@contextmanager
def drawing() -> Iterator[None]:
    """Our settings over matplotlib's defaults, whatever the user's are."""
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report") from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(inches: tuple[float, float]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    write_bytes(path, figure_png(figure))


def figure_png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    content = io.BytesIO()
    # Without its name and version, matplotlib writes nothing that depends on the day.
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _ascending(
    scalogram: Array, frequencies_hz: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.asarray(scalogram, np.float64)
    frequencies = np.asarray(frequencies_hz, np.float64)
    if values.ndim != 2 or len(values) != len(frequencies) or values.size == 0:
        raise InputError(
            f"a scalogram {list(values.shape)} does not have {len(frequencies)} scales and frames"
        )
    if not np.all(np.isfinite(values)):
        raise InputError("the scalogram holds NaN or infinite values")
    order = np.argsort(frequencies)
    ordered: tuple[NDArray[np.float64], NDArray[np.float64]] = values[order], frequencies[order]
    return ordered


def _edges(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Borders of the rows: half-way on a log axis."""
    if len(frequencies) == 1:
        return np.asarray(frequencies[0] * np.array([2.0**-0.5, 2.0**0.5]), np.float64)
    logs = np.log2(frequencies)
    middle = (logs[1:] + logs[:-1]) / 2
    first, last = 2 * logs[0] - middle[0], 2 * logs[-1] - middle[-1]
    return np.asarray(np.exp2([first, *middle, last]), np.float64)


def draw_scalogram(
    axes: Axes, scalogram: Array, frequencies_hz: Sequence[float], frame_rate_hz: float
) -> None:
    """`scalogram_plot` without its colour bar and probabilities, in ``axes``; `InputError`."""
    _mesh(axes, *_ascending(scalogram, frequencies_hz), frame_rate_hz)


def _picture(
    axes: Axes,
    bar: Axes,
    values: NDArray[np.float64],
    frequencies: NDArray[np.float64],
    frame_rate_hz: float,
) -> None:
    mesh = _mesh(axes, values, frequencies, frame_rate_hz)
    colours = axes.figure.colorbar(mesh, cax=bar)
    colours.set_label("power (dB)")
    colours.outline.set_visible(False)


def _mesh(
    axes: Axes,
    values: NDArray[np.float64],
    frequencies: NDArray[np.float64],
    frame_rate_hz: float,
) -> Any:
    decibels = 10.0 * values
    # A click or two would otherwise darken everything else.
    top = float(np.percentile(decibels, 99.8))
    mesh = axes.pcolormesh(
        np.arange(values.shape[1] + 1) / frame_rate_hz,
        _edges(frequencies),
        decibels,
        cmap="magma",
        vmin=max(top - RANGE_DB, float(decibels.min())),
        vmax=top,
        rasterized=True,
    )
    _frequency_axis(axes, frequencies)
    axes.set_xlabel("time (s)")
    return mesh


def _frequency_axis(axes: Axes, frequencies: NDArray[np.float64]) -> None:
    edges = _edges(frequencies)
    ticks = [tick for tick in TICKS_HZ if edges[0] <= tick <= edges[-1]]
    axes.set_yscale("log")
    axes.set_ylim(edges[0], edges[-1])
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylabel("frequency (Hz)")


def _probability_bars(axes: Axes, probabilities: Mapping[str, float], label: str) -> None:
    names = list(probabilities)
    places = np.arange(len(names))
    colours = [CHOSEN if name == label else OTHER for name in names]
    axes.barh(places, list(probabilities.values()), height=0.5, color=colours)
    for place, name in zip(places, names, strict=True):
        weight = "bold" if name == label else "normal"
        axes.text(0.0, place - 0.34, name, fontweight=weight, va="bottom", parse_math=False)
        axes.text(1.0, place - 0.34, f"{probabilities[name]:.2f}", ha="right", va="bottom")
    axes.set_xlim(0, 1)
    axes.set_ylim(len(names) - 0.4, -0.75)
    axes.set_yticks([])
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("probability")
    axes.set_title(f"prediction: {label}", loc="left", color=CHOSEN, parse_math=False)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _numbers(curve: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names that have a number somewhere, in the order they appear."""
    names = dict.fromkeys(name for row in curve for name in row)
    return [name for name in names if any(_is_number(row.get(name)) for row in curve)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_score(curve: Sequence[Mapping[str, Any]], name: str) -> bool:
    values = [value for value in _column(curve, name) if not math.isnan(value)]
    return name != "learning_rate" and all(0 <= value <= 1 for value in values)


def _column(curve: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """The numbers called ``name``; NaN where there is none."""
    return [float(row[name]) if _is_number(row.get(name)) else math.nan for row in curve]


def _lines(axes: Axes, epochs: Sequence[float], columns: Mapping[str, Sequence[float]]) -> None:
    from matplotlib.ticker import MaxNLocator

    for place, (name, values) in enumerate(columns.items()):
        colour = LINES[place % len(LINES)]
        marker = "o" if len(epochs) == 1 else None
        title = name.replace("_", " ")
        axes.plot(epochs, values, color=colour, label=title, linewidth=1.5, marker=marker)
    axes.set_xlabel("epoch")
    axes.grid(color="#e4e7eb", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
