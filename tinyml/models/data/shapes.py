"""A demonstration set: ten shapes and textures made up by this file, for those without data.

It shows that the line works from images to bundle; it says nothing about photographs.

Every image is one shape on a ground, both in colours of their own, under light that
falls from one side and the sensor's noise. Place, size, angle, colours (either may be
the brighter), strokes that cross the image and noise are drawn alike for all classes, so
that neither a mean colour nor a pixel of its own tells them apart: only the outline or
the texture does. All follows from (seed, part, class, image).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tinyml.core.errors import DataError
from tinyml.core.events import Report
from tinyml.core.files import canonical_json
from tinyml.core.spec import Options
from tinyml.models.data.entry import DataSetEntry
from tinyml.models.data.image_cache import UncachedSet, UncachedSplit, cached_set
from tinyml.models.data.image_files import LIMITS, limits
from tinyml.models.data.images import Bytes, ImageSet
from tinyml.models.data.options import check_options

Reals = NDArray[np.float64]

# Part of the set's digest: raise it whenever the pixels change.
VERSION = 2
SIDE, CHANNELS = 32, 3
DEFAULTS = {"limit": 500, "test_limit": 100}
# Points a pixel and axis that are averaged: outlines are grey where they cross a pixel.
OVERSAMPLED = 2
LUMINANCE = np.array([0.299, 0.587, 0.114])


def _polygon(corners: int) -> Callable[[Reals, Reals], Reals]:
    """Distance from the outline of a regular polygon of radius 1; negative inside."""

    def distance(x: Reals, y: Reals) -> Reals:
        sector = 2 * np.pi / corners
        angle = np.mod(np.arctan2(y, x), sector) - sector / 2
        return np.asarray(np.hypot(x, y) * np.cos(angle) - np.cos(sector / 2))

    return distance


def _star(x: Reals, y: Reals) -> Reals:
    angle = np.abs(np.mod(np.arctan2(y, x), 2 * np.pi / 5) - np.pi / 5)
    return np.asarray(np.hypot(x, y) - (0.42 + 0.72 * angle / (np.pi / 5)))


def _cross(x: Reals, y: Reals) -> Reals:
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.maximum(x, y) - 0.95, np.minimum(x, y) - 0.3)


def _disc(x: Reals, y: Reals) -> Reals:
    return np.asarray(np.hypot(x, y) - 0.85)


def _ring(x: Reals, y: Reals) -> Reals:
    return np.asarray(np.abs(np.hypot(x, y) - 0.72) - 0.22)


def _crescent(x: Reals, y: Reals) -> Reals:
    return np.maximum(np.hypot(x, y) - 0.95, 0.75 - np.hypot(x - 0.45, y))


def _stripes(x: Reals, y: Reals) -> Reals:
    return np.maximum(np.hypot(x, y) - 1.0, np.sin(9 * x) / 9)


def _checks(x: Reals, y: Reals) -> Reals:
    return np.maximum(np.hypot(x, y) - 1.0, np.sin(7 * x) * np.sin(7 * y) / 7)


def _dots(x: Reals, y: Reals) -> Reals:
    columns, rows = np.mod(x / 0.55, 1) - 0.5, np.mod(y / 0.55, 1) - 0.5
    return np.maximum(np.hypot(x, y) - 1.0, 0.55 * (np.hypot(columns, rows) - 0.33))


# Class -> signed distance from its outline, in units of its radius; negative inside.
SHAPES: dict[str, Callable[[Reals, Reals], Reals]] = {
    "checks": _checks,
    "crescent": _crescent,
    "cross": _cross,
    "disc": _disc,
    "dots": _dots,
    "ring": _ring,
    "square": _polygon(4),
    "star": _star,
    "stripes": _stripes,
    "triangle": _polygon(3),
}


def load(
    options: Options,
    seed: int,
    *,
    side: int | None = None,
    channels: int | None = None,
    report: Report | None = None,
) -> ImageSet:
    """``limit`` training images a class (500) and ``test_limit`` test images (100).

    Raises `DataError` for an unknown option or a number that makes no set.
    """
    check_options("shapes", options, LIMITS)
    counts = limits("shapes", {**DEFAULTS, **options})
    if min(counts) < 1:
        raise DataError("data set 'shapes': it has no end, a limit of 0 takes nothing of it")
    shape = (side or SIDE, channels or CHANNELS)
    key = [VERSION, seed, counts]
    return cached_set("shapes", key, shape, lambda: _uncached(seed, counts, shape), report)


def _uncached(seed: int, counts: tuple[int, int], shape: tuple[int, int]) -> UncachedSet:
    parts = [
        UncachedSplit(labels, _images(seed, part, labels, shape))
        for part, count in enumerate(counts)
        for labels in [[at % len(SHAPES) for at in range(count * len(SHAPES))]]
    ]
    text = canonical_json(["shapes", VERSION, seed, counts, shape])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return UncachedSet(tuple(SHAPES), parts[0], parts[1], [], digest)


def _images(seed: int, part: int, labels: Sequence[int], shape: tuple[int, int]) -> Iterator[Bytes]:
    names = list(SHAPES)
    for number, label in enumerate(labels):
        random = np.random.default_rng((seed, part, label, number))
        yield make_image(names[label], random, *shape)


def make_image(name: str, random: Generator, side: int, channels: int) -> Bytes:
    """uint8 [side, side, channels]; what is drawn does not depend on ``side``."""
    x, y = _grid(side)
    inside = _share(SHAPES[name](*_placed(random, x, y)), side)
    ground, colour = _colours(random)
    colour = ground + inside[..., None] * (colour - ground)
    for _ in range(random.integers(0, 2)):
        stroke = _share(_stroke(random, x, y), side)[..., None]
        colour = colour + stroke * (random.uniform(0, 1, 3) - colour)
    direction, strength = random.uniform(0, 2 * np.pi), random.uniform(0, 0.2)
    light = 1 + strength * (np.cos(direction) * x + np.sin(direction) * y)
    pixels = _pooled(colour * light[..., None], side)
    # Noise of 32 x 32 repeated over larger images would be a texture: it is drawn per pixel.
    pixels += random.uniform(0.01, 0.04) * random.standard_normal(pixels.shape)
    if channels == 1:
        pixels = (pixels @ LUMINANCE)[..., None]
    return np.asarray(np.round(255 * np.clip(pixels, 0, 1)), np.uint8)


def _grid(side: int) -> tuple[Reals, Reals]:
    """x and y from -1 to 1 of every point of an image."""
    points = side * OVERSAMPLED
    line = (np.arange(points) + 0.5) * 2 / points - 1
    return np.broadcast_to(line[None, :], (points, points)), np.broadcast_to(
        line[:, None], (points, points)
    )


def _placed(random: Generator, x: Reals, y: Reals) -> tuple[Reals, Reals]:
    """x and y as the shape sees them: moved, turned, scaled and slightly squeezed."""
    radius, squeeze = random.uniform(0.55, 0.8), random.uniform(0.85, 1.18)
    reach = 0.95 - radius
    x, y = x - random.uniform(-reach, reach), y - random.uniform(-reach, reach)
    angle = random.uniform(0, 2 * np.pi)
    turned = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    return turned[0] / radius * squeeze, turned[1] / radius / squeeze


def _share(distance: Reals, side: int) -> Reals:
    """1 inside, 0 outside, and a ramp of a pixel between them."""
    return np.clip(0.5 - distance * side / 4, 0, 1)


def _colours(random: Generator) -> tuple[Reals, Reals]:
    """(ground, shape): any two colours that differ enough in luminance to be told apart."""
    while True:
        ground, colour = random.uniform(0, 1, 3), random.uniform(0, 1, 3)
        if abs(float((ground - colour) @ LUMINANCE)) > 0.3:
            return ground, colour


def _stroke(random: Generator, x: Reals, y: Reals) -> Reals:
    """Distance from a thin line across the image."""
    angle, offset = random.uniform(0, np.pi), random.uniform(-0.8, 0.8)
    return np.asarray(np.abs(np.cos(angle) * x + np.sin(angle) * y - offset) - 0.04)


def _pooled(colour: Reals, side: int) -> Reals:
    blocks = colour.reshape(side, OVERSAMPLED, side, OVERSAMPLED, 3)
    return np.asarray(blocks.mean(axis=(1, 3)))


ENTRY = DataSetEntry(
    name="shapes",
    kind="images",
    load=load,
    generated=True,
    caveat="a demonstration set of drawn shapes: these figures do not apply to photographs",
)
