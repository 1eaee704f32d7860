"""The page of a pruned run: how sparsity and accuracy went, zeros per layer, the masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import CheckpointError
from tinyml.core.spec import Array
from tinyml.core.training_record import Epoch, LayerZeros
from tinyml.pages.report.content import Bar, Example, Gallery, Page, Picture, ReportSection, Table
from tinyml.pages.report.page import write_page
from tinyml.pages.report.raster import grey_png
from tinyml.pages.report.svg import LINE, SERIES, Chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "pruning.html"
CELLS = 96
MASKS = (
    "Output channels down, input channels (times kernel) across; dark is kept. Large layers are "
    f"shown as densities of {CELLS} x {CELLS} cells."
)


def pruning_page(saved: Checkpoint, out: Path) -> Path:
    """Write ``pruning.html``, one file with its pictures inside, and return its path.

    Raises `MissingExtraError` without matplotlib or Jinja2.
    """
    record = saved.trained
    if (pruned := record.pruning) is None:
        raise CheckpointError(f"{saved.recipe.name} is not pruned")
    blocks = " and ".join(map(str, pruned.blocks))
    sections = [
        ReportSection("training", "Training", "", [_curves(record.curves)]),
        ReportSection("layers", "Layers", "", [_layers(pruned.layers)]),
        ReportSection("masks", "Masks", MASKS, [_masks(saved.weights, pruned.layers)]),
    ]
    page = Page(
        title=f"{saved.recipe.name}: {pruned.sparsity:.1%} zeros",
        subtitle=f"Method {pruned.method}, blocks of {blocks} along the {pruned.block_axis} "
        f"channels, model {saved.model}.",
        tiles=(),
        sections=sections,
        footer="Written by tinyml. This file needs no network and runs no script.",
    )
    write_page(page, out / PAGE)
    return out / PAGE


def _layers(rows: Sequence[LayerZeros]) -> Table:
    cells = [
        (
            row.name,
            " x ".join(map(str, row.shape)),
            f"{row.weights:,}",
            f"{row.weights - row.zeros:,}",
            Bar(f"{row.share:.3f}", row.share),
        )
        for row in rows
    ]
    return Table("Zeros of each layer", ("layer", "shape", "weights", "nonzero", "sparsity"), cells)


def _curves(curves: Mapping[str, Sequence[Epoch]]) -> Chart:
    """Every stage's epochs one after the other: sparsity, and accuracy where it is known."""
    ends = np.cumsum([len(stage) for stage in curves.values()])
    rows = [row for stage in curves.values() for row in stage]

    def draw(figure: Figure, _width: int) -> None:
        _lines(figure, rows, [int(end) for end in ends[:-1]])

    accuracy = [row["validation_accuracy"] for row in rows if "validation_accuracy" in row]
    last = f", accuracy {accuracy[-1]:.3f} in the last" if accuracy else ""
    return Chart(
        "curves",
        draw,
        title="Sparsity and accuracy by epoch",
        alt=f"Sparsity and validation accuracy of {len(rows)} epochs{last}.",
        height=230,
    )


def _lines(figure: Figure, rows: Sequence[Epoch], ends: Sequence[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = figure.add_subplot()
    names = {"sparsity": "sparsity", "validation_accuracy": "accuracy"}
    for (key, name), color in zip(names.items(), SERIES, strict=False):
        known = [(at, row[key]) for at, row in enumerate(rows, 1) if key in row]
        if known:
            axes.plot(*zip(*known, strict=True), color=color, label=name, marker=".")
    for end in ends:
        axes.axvline(end + 0.5, color=LINE, linewidth=1.5)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(-0.03, 1.03)
    figure.legend(loc="outside upper left", ncols=2)


def _masks(weights: Mapping[str, Array], rows: Sequence[LayerZeros]) -> Gallery:
    return Gallery(
        "Kept weights of each pruned layer",
        [
            Example(
                row.name,
                Picture(_mask(weights[f"{row.name}.weight"]), f"kept weights of {row.name}"),
                f"{row.share:.1%} zeros",
            )
            for row in rows
            if row.zeros
        ],
    )


def _mask(weight: Array) -> bytes:
    kept = np.asarray(weight).reshape(len(weight), -1) != 0
    return grey_png(1.0 - _shrunk(kept.astype(np.float64)))


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
