"""One way from an image file to pixels, for training and for prediction alike."""

from __future__ import annotations

import io
import struct
import warnings
from typing import TYPE_CHECKING

import numpy as np

from tinyml.core.errors import DataError, raise_refusal, require
from tinyml.models.data.images import Bytes

if TYPE_CHECKING:
    from PIL.Image import Image

# Part of every cache's key: raise it whenever the same file gives other pixels.
VERSION = 1
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
FORMATS = ("JPEG", "PNG", "BMP")
# The mode that Pillow gives an image of so many channels.
MODES = {1: "L", 3: "RGB"}


def decode(content: bytes, side: int, channels: int, *, name: str = "the image") -> Bytes:
    """A jpg, png or bmp -> uint8 [side, side, channels]; `DataError` says that ``name`` is broken.

    The camera's orientation is applied, then as `tinyml.core.image_processor.RESAMPLER` says.
    Grey becomes colour and colour grey as ``channels`` (1 or 3) asks, CMYK and palettes too;
    transparency is dropped.
    """
    return fit(opened(content, name), side, channels)


def opened(content: bytes, name: str) -> Image:
    """The decoded image, upright; `DataError` when it cannot be decoded to its end."""
    require("PIL", "pillow", "images")
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            # Of metadata that Pillow doubts nothing is used but the orientation.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            image.load()
            return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise_refusal(error, f"reading {name}")
        # Pillow's own words name an object's address where it knows nothing of the file.
        what = "is not a jpg, png or bmp" if "identify" in str(error) else f"is broken: {error}"
        raise DataError(f"{name} {what}", hint="replace it, or take it out") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name} is too large: {error}", hint="scale it down") from error


def fit(image: Image, side: int, channels: int) -> Bytes:
    """A Pillow image -> uint8 [side, side, channels]."""
    from PIL import Image

    image = _converted(image, MODES[channels])
    width, height = image.size
    shorter = min(width, height)
    if shorter != side:
        size = (round(width * side / shorter), round(height * side / shorter))
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    if image.size != (side, side):
        image = image.crop((left, top, left + side, top + side))
    return np.asarray(image, np.uint8).reshape(side, side, channels)


def _converted(image: Image, mode: str) -> Image:
    from PIL import Image

    if image.mode.startswith("I"):
        # Pillow would clip 16-bit grey at 255 instead of scaling it.
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)
