"""The page of a pruned run: how sparsity and accuracy went, zeros per layer, the masks."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import CheckpointError
from tinyml.core.files import write_text
from tinyml.core.spec import Array
from tinyml.core.training_record import Epoch, LayerZeros
from tinyml.pages.plots import CHOSEN, LINES, drawing, figure_png, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = "pruning.html"
COLUMNS = 4
CELLS = 96
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22272e; max-width: 64rem; margin: 2rem auto;
  padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .15rem .8rem; text-align: right }
td:first-child, th:first-child { text-align: left; font-family: ui-monospace, monospace }
tr { border-bottom: 1px solid #e3e6ea } img { max-width: 100% }
.bar { display: inline-block; height: .7rem; background: #2b5c9e }
.track { display: inline-block; width: 8rem; background: #e3e6ea; line-height: 0; text-align: left }
"""


def pruning_page(saved: Checkpoint, out: Path) -> Path:
    """Write ``pruning.html``, one file with its pictures inside, and return its path.

    Raises `MissingExtraError` without matplotlib.
    """
    record = saved.trained
    if (pruned := record.pruning) is None:
        raise CheckpointError(f"{saved.recipe.name} is not pruned")
    blocks = " and ".join(map(str, pruned.blocks))
    parts = [
        f"<h1>{html.escape(saved.recipe.name)}: {pruned.sparsity:.1%} zeros</h1>",
        f"<p>Method <b>{html.escape(pruned.method)}</b>, blocks of {blocks} along the "
        f"{pruned.block_axis} channels, model {html.escape(saved.model)}.</p>",
        "<h2>Training</h2>",
        _image(_curves(record.curves), "accuracy and sparsity by epoch"),
        "<h2>Layers</h2>",
        _layers(pruned.layers),
        "<h2>Masks</h2>",
        "<p>Output channels down, input channels (times kernel) across; dark is kept. Large "
        f"layers are drawn as densities of {CELLS} x {CELLS} cells.</p>",
        _image(_masks(saved.weights, pruned.layers), "kept weights of every pruned layer"),
    ]
    title = html.escape(saved.recipe.name)
    body = "\n".join(parts)
    page = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style>\n{body}\n</html>\n"
    )
    write_text(out / PAGE, page)
    return out / PAGE


def _layers(rows: Sequence[LayerZeros]) -> str:
    head = "<tr><th>layer<th>shape<th>weights<th>nonzero<th>sparsity<th></tr>"
    return f"<table>{head}{''.join(map(_layer, rows))}</table>"


def _layer(row: LayerZeros) -> str:
    shape = " x ".join(map(str, row.shape))
    bar = (
        f'<span class="track"><span class="bar" style="width:{100 * row.share:.0f}%"></span></span>'
    )
    return (
        f"<tr><td>{html.escape(row.name)}<td>{shape}<td>{row.weights:,}"
        f"<td>{row.weights - row.zeros:,}<td>{row.share:.3f}<td>{bar}</tr>"
    )


def _curves(curves: Mapping[str, Sequence[Epoch]]) -> bytes:
    """Every stage's epochs one after the other: sparsity, and accuracy where it is known."""
    from matplotlib.ticker import MaxNLocator

    rows = [row for stage in curves.values() for row in stage]
    with drawing():
        figure = new_figure((8.0, 2.8))
        axes = figure.add_subplot(1, 1, 1)
        for key, name, color in (
            ("sparsity", "sparsity", CHOSEN),
            ("validation_accuracy", "accuracy", LINES[0]),
        ):
            known = [(at, row[key]) for at, row in enumerate(rows, 1) if key in row]
            if known:
                axes.plot(*zip(*known, strict=True), color=color, label=name, marker=".")
        for end in np.cumsum([len(stage) for stage in curves.values()])[:-1]:
            axes.axvline(end + 0.5, color="#b9c0c9", linewidth=0.8)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(-0.03, 1.03)
        axes.legend(frameon=False)
        return figure_png(figure)


def _masks(weights: Mapping[str, Array], rows: Sequence[LayerZeros]) -> bytes:
    pruned = [row for row in rows if row.zeros]
    lines = -(-len(pruned) // COLUMNS)
    with drawing():
        figure = new_figure((8.0, 2.1 * max(1, lines)))
        for place, row in enumerate(pruned, 1):
            axes = figure.add_subplot(lines, COLUMNS, place)
            _mask(axes, np.asarray(weights[f"{row.name}.weight"]), row)
        return figure_png(figure)


def _mask(axes: Axes, weight: Array, row: LayerZeros) -> None:
    kept = (weight.reshape(weight.shape[0], -1) != 0).astype(np.float64)
    axes.imshow(_shrunk(kept), cmap="Greys", aspect="auto", interpolation="nearest", vmin=0, vmax=1)
    axes.set_title(f"{row.name}  {row.share:.2f}", fontsize=7, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])


def _shrunk(kept: Array) -> Array:
    """At most `CELLS` along each axis: means over as equal parts as can be."""
    for axis in (0, 1):
        size = kept.shape[axis]
        if size > CELLS:
            starts = np.linspace(0, size, CELLS, endpoint=False).astype(int)
            sums = np.add.reduceat(kept, starts, axis=axis)
            counts = np.diff([*starts, size]).reshape((-1, 1) if axis == 0 else (1, -1))
            kept = sums / counts
    return kept


def _image(png: bytes, words: str) -> str:
    data = base64.b64encode(png).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{data}">'
