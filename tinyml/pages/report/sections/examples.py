"""Samples that are right and wrong, to look at or to listen to."""

from __future__ import annotations

from collections.abc import Sequence

from tinyml.core.evaluation_results import Picked
from tinyml.pages.report.content import (
    Badge,
    Block,
    Example,
    Gallery,
    Picture,
    Prose,
    ReportSection,
    Sound,
)
from tinyml.pages.report.material import Material
from tinyml.pages.report.raster import photo_png
from tinyml.pages.report.sound import SECONDS, wav

TITLE = "Right and wrong"


def section(material: Material) -> ReportSection:
    """The surest of the wrong predictions, and the least sure of the right ones."""
    found = material.results
    if found is None:
        return ReportSection("examples", TITLE, "", [material.no_data()])
    blocks: list[Block] = []
    if found.wrong:
        blocks.append(_gallery("Wrong, and most sure of it", found.wrong))
    else:
        blocks.append(Prose("Every one of these samples is predicted right."))
    if found.right:
        blocks.append(_gallery("Right, and least sure of it", found.right))
    lead = "What the model is sure of and wrong about shows more than an average does."
    if any(own.samples is not None for own in (*found.wrong, *found.right)):
        lead += f" The first {SECONDS} seconds of each recording, all equally loud."
    return ReportSection("examples", TITLE, lead, blocks)


def _gallery(title: str, found: Sequence[Picked]) -> Gallery:
    return Gallery(title, [_example(own) for own in found])


def _example(own: Picked) -> Example:
    mark = Badge("right", "good") if own.is_right else Badge("wrong", "bad")
    text = f"predicted {own.prediction}, {own.probabilities.get(own.prediction, 0.0):.2f}"
    if not own.is_right:
        text = f"is {own.truth}; {text}"
    return Example(own.name, medium(own), text, mark)


def medium(own: Picked) -> Picture | Sound:
    """The image, or the recording."""
    if own.pixels is not None:
        return Picture(photo_png(own.pixels), f"{own.name}, labelled {own.truth}")
    assert own.samples is not None
    return Sound(wav(own.samples, own.rate_hz), f"{own.name}, labelled {own.truth}")
