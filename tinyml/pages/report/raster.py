"""Arrays as small PNGs: photos as they are, feature maps in one colour scale."""

from __future__ import annotations

import io
import math

import numpy as np

from tinyml.core.spec import Array
from tinyml.pages.plots import drawing

# Of the colour scale, in percent: a single hot value would darken everything else.
LOW, HIGH = 1.0, 99.5


def photo_png(pixels: Array) -> bytes:
    """uint8 [height, width, 1 or 3]."""
    shown = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    return _png(np.ascontiguousarray(shown))


def map_png(values: Array) -> bytes:
    """[height, width] of any range, dark to bright; what is not finite is dark."""
    with drawing():
        import matplotlib

        colours = matplotlib.colormaps["magma"](_scaled(values))
    return _png(np.ascontiguousarray((255 * colours[..., :3]).astype(np.uint8)))


def grey_png(values: Array) -> bytes:
    """[height, width] of 0, black, to 1, white."""
    shade = np.round(255 * np.clip(values, 0.0, 1.0)).astype(np.uint8)
    return photo_png(shade[..., None])


def _scaled(values: Array) -> Array:
    """To 0 to 1."""
    finite = np.asarray(values, np.float64)
    known = finite[np.isfinite(finite)]
    if not known.size:
        return np.zeros(finite.shape)
    low, high = np.percentile(known, (LOW, HIGH))
    if not math.isfinite(high - low) or high <= low:
        low, high = float(known.min()), float(known.max())
    span = high - low if high > low else 1.0
    return np.asarray(np.clip(np.nan_to_num((finite - low) / span, nan=0.0), 0.0, 1.0))


def _png(pixels: Array) -> bytes:
    with drawing():
        from matplotlib.image import imsave

        content = io.BytesIO()
        imsave(content, pixels, format="png")
    return content.getvalue()
