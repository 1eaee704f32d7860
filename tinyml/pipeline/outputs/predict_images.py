"""Image files in, probabilities out, through a bundle's own model file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyml.core.array_files import read_arrays
from tinyml.core.errors import DataError, machine_errors
from tinyml.core.image_processor import Bytes, ImageProcessor
from tinyml.core.processor import Floats
from tinyml.models.data.decode import decode

ARRAYS = (".npy", ".npz")


@dataclass(frozen=True, slots=True)
class ImagePrediction:
    """What the model says of one image."""

    file: str
    label: str
    probabilities: dict[str, float]


def predict_images(
    files: Sequence[Path], processor: ImageProcessor, answer: Callable[[Floats], Floats]
) -> list[ImagePrediction]:
    """One `ImagePrediction` per file, in order, after all of them were read; `InputError`."""
    pixels = [read_pixels(file, processor) for file in files]
    return [
        _answer(str(file), processor, answer(processor.preprocess(image[None]))[0])
        for file, image in zip(files, pixels, strict=True)
    ]


def _answer(file: str, processor: ImageProcessor, probabilities: Floats) -> ImagePrediction:
    return ImagePrediction(
        file=file,
        label=processor.labels[processor.postprocess(probabilities)],
        probabilities=dict(zip(processor.labels, map(float, probabilities), strict=True)),
    )


def read_pixels(file: Path, processor: ImageProcessor) -> Bytes:
    """uint8 [side, side, channels] of a photo, or of an array that has this shape already.

    Raises `InputError` naming a file that is missing, broken, or of another shape.
    """
    if not file.is_file():
        raise DataError(f"no image at {file}", hint="give a jpg, png or bmp")
    if file.suffix.lower() in ARRAYS:
        return _read_array(file, processor)
    with machine_errors(f"reading {file.name}"):
        content = file.read_bytes()
    return decode(content, processor.side, processor.channels, name=str(file))


def _read_array(file: Path, processor: ImageProcessor) -> Bytes:
    shape = (processor.side, processor.side, processor.channels)
    found = read_arrays(file)
    if len(found) != 1 or found[0].shape != shape or found[0].dtype != np.uint8:
        what = ", ".join(f"{array.dtype}{list(array.shape)}" for array in found) or "nothing"
        raise DataError(f"{file} holds {what}, the model takes one uint8{list(shape)}")
    return np.asarray(found[0])
