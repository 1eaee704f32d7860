"""From input to probability: what each stage makes of one sample, as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from tinyml.core.bundle_facts import Scalogram
from tinyml.core.evaluation_results import Picked, Walk
from tinyml.core.spec import Array
from tinyml.pages.plots import draw_scalogram
from tinyml.pages.report.content import Bar, Picture, ReportSection, Stage, Stages, Table
from tinyml.pages.report.material import Material
from tinyml.pages.report.raster import map_png, photo_png
from tinyml.pages.report.svg import NARROW, SERIES, Chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "From input to probability"
MOST_CHANNELS, MOST_LABELS = 12, 5
POINTS = {True: 300, False: 660}
# Taller and wider maps are drawn smaller: a page does not show more pixels.
MOST_SIDE = 320


def section(material: Material) -> ReportSection:
    """The input, every stage that has a tensor in the file, and the probabilities."""
    found = material.results
    if found is None or found.walk is None:
        return ReportSection("inside", TITLE, "", [material.no_data()])
    walk = found.walk
    lead = (
        f"What {found.engine} computes for one sample, `{walk.sample.name}`. Bright is large; "
        "every picture has its own scale."
    )
    stages = [_input(walk)]
    for name, value in walk.stages.items():
        if value is not None:
            stages.append(_stage(name, value, material.bundle.facts.scalogram))
    stages.append(_outcome(walk.sample))
    return ReportSection("inside", TITLE, lead, [Stages(stages)])


def _input(walk: Walk) -> Stage:
    text = _size(walk.given)
    if walk.sample.pixels is not None:
        alt = f"The input, an image labelled {walk.sample.truth}"
        return Stage("Input", text, [Picture(photo_png(walk.sample.pixels), alt)])
    samples, rate = walk.given.reshape(-1), walk.sample.rate_hz
    text = f"{len(samples):,} samples" + (f" at {rate:,} Hz" if rate else "")

    def draw(figure: Figure, width: int) -> None:
        _waveform(figure, samples, rate, width)

    alt = f"The waveform of one window, labelled {walk.sample.truth}"
    return Stage("Input", text, chart=Chart("waveform", draw, title="", alt=alt, height=130))


def _waveform(figure: Figure, samples: Array, rate_hz: int, width: int) -> None:
    """The smallest and the largest of the samples that share a pixel."""
    axes = figure.add_subplot()
    parts = np.array_split(samples, min(len(samples), POINTS[width == NARROW]))
    unit = rate_hz or len(samples)
    times = np.linspace(0, len(samples) / unit, len(parts))
    axes.fill_between(
        times, [part.min() for part in parts], [part.max() for part in parts], color=SERIES[0]
    )
    axes.set_xlabel("time (s)" if rate_hz else "share of the recording")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.margins(x=0)


def _stage(name: str, value: Array, scalogram: Scalogram | None) -> Stage:
    text = _size(value)
    if scalogram is not None and name == scalogram.stage:
        return Stage(name, text, chart=_scalogram(value, scalogram))
    kept = value.reshape(value.shape[:1] + tuple(size for size in value.shape[1:] if size > 1))
    if kept.ndim < 3:
        shape: Literal["band", "strip"] = "band" if kept.ndim > 1 else "strip"
        what = "channels down, time across" if kept.ndim > 1 else "all values"
        alt = f"{name}, {text}: {what}"
        return Stage(name, text, [Picture(map_png(_smaller(np.atleast_2d(kept))), alt, shape)])
    if len(kept) > MOST_CHANNELS:
        text += f"; the {MOST_CHANNELS} channels that vary most"
    return Stage(name, text, _channels(name, kept))


def _channels(name: str, value: Array) -> list[Picture]:
    """Of [channels, ...], those that vary most."""
    planes = [np.reshape(own, (-1, own.shape[-1])) for own in value]
    order = np.argsort([-own.std() for own in planes], kind="stable")[:MOST_CHANNELS]
    return [Picture(map_png(_smaller(planes[at])), f"{name}, channel {at}") for at in order]


def _smaller(plane: Array) -> Array:
    steps = tuple(slice(None, None, -(-size // MOST_SIDE)) for size in plane.shape)
    return plane[steps]


def _scalogram(value: Array, own: Scalogram) -> Chart:
    values = value.reshape(len(own.frequencies_hz), -1)

    def draw(figure: Figure, _width: int) -> None:
        draw_scalogram(figure.add_subplot(), values, own.frequencies_hz, own.frame_rate_hz)

    low, high = min(own.frequencies_hz), max(own.frequencies_hz)
    alt = f"Scalogram: power at {len(own.frequencies_hz)} frequencies, {low:.0f} to {high:.0f} Hz"
    return Chart("scalogram", draw, title="", alt=alt, height=230)


def _outcome(sample: Picked) -> Stage:
    ordered = sorted(sample.probabilities.items(), key=lambda row: -row[1])[:MOST_LABELS]
    rows = [(label, Bar(f"{value:.3f}", value)) for label, value in ordered]
    table = Table("Probability of each label", ("label", "probability"), rows)
    return Stage("Prediction", f"{sample.prediction}; the label is {sample.truth}", table=table)


def _size(value: Array) -> str:
    return " x ".join(f"{size:,}" for size in value.shape if size > 1) or "one value"
