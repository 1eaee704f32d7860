"""What a data set of images is to training: pixels decoded once, in a training and a test part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyml.core.errors import DataError

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ImageSplit:
    """``images`` uint8 [n, side, side, channels], mapped from a file; ``labels`` [n]."""

    images: Bytes
    labels: Labels

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels) or self.images.ndim != 4:
            raise DataError(f"{self.images.shape} images have {len(self.labels)} labels")


@dataclass(frozen=True, slots=True)
class ImageSet:
    """A training and a test part that share no image.

    labels    class names, by index
    warnings  what was found and how it was settled
    sha256    of the content: the same pixels and labels give the same digest
    """

    name: str
    labels: tuple[str, ...]
    training: ImageSplit
    test: ImageSplit
    warnings: tuple[str, ...]
    sha256: str

    @property
    def side(self) -> int:
        """Height and width in pixels."""
        return int(self.training.images.shape[1])

    @property
    def channels(self) -> int:
        """Colour channels: 1 or 3."""
        return int(self.training.images.shape[3])
