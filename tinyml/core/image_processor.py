"""How pixels become an image classifier's input, and its probabilities a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinyml.core.errors import DataError, InputError
from tinyml.core.finite import check_finite
from tinyml.core.processor import Floats, Processor, check_probabilities

Bytes = NDArray[np.uint8]
RESAMPLER = "shorter side to the side by Pillow's antialiased bilinear filter, centre cropped"
# Mean and standard deviation of ImageNet's pixels, as its published weights expect them.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class ImageProcessor(Processor):
    """From pixels to a label: the most probable one.

    labels     class names
    side       height and width of the graph's input in pixels
    mean, std  per channel, of pixels at full scale 1: the graph takes (pixel - mean) / std
    resampler  how images come to ``side``, in words
    """

    labels: tuple[str, ...]
    side: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resampler: str = RESAMPLER
    kind: Literal["image"] = "image"

    def __post_init__(self) -> None:
        for channel, pair in enumerate(zip(self.mean, self.std, strict=False)):
            check_finite("mean and std of channel", {str(channel): pair})
        if len(self.mean) != len(self.std) or min(self.std) <= 0 or self.side < 1:
            raise InputError(f"mean {self.mean}, std {self.std}, side {self.side} do not fit")

    @property
    def channels(self) -> int:
        """Colour channels: 1 or 3."""
        return len(self.mean)

    def preprocess(self, images: Bytes) -> Floats:
        """uint8 [n, side, side, channels] -> float32 [n, channels, side, side]; `DataError`."""
        if images.dtype != np.uint8 or images.shape[1:] != (self.side, self.side, self.channels):
            raise DataError(
                f"images are {images.dtype}{list(images.shape)}, the model takes "
                f"uint8 [n, {self.side}, {self.side}, {self.channels}]"
            )
        scale, offset = self.affine()
        return np.ascontiguousarray((images * scale + offset).transpose(0, 3, 1, 2))

    def affine(self) -> tuple[Floats, Floats]:
        """(scale, offset), one per channel: input = byte * scale + offset."""
        std = np.asarray(self.std)
        scale, offset = 1 / (255 * std), -np.asarray(self.mean) / std
        return scale.astype(np.float32), offset.astype(np.float32)

    def postprocess(self, probabilities: Floats) -> int:
        """As `Processor.postprocess`: the most probable label."""
        check_probabilities(self.labels, probabilities)
        return int(np.argmax(probabilities))

    def margin(self, probabilities: Floats) -> float:
        """By how much the first label is more probable than the second."""
        ordered = np.sort(probabilities)
        return float(ordered[-1] - ordered[-2])
