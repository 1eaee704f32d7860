"""Everything around the graph: what becomes its input, and what its output means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyml.core.errors import ValidationError
from tinyml.core.finite import check_finite
from tinyml.core.typed_json import Variants

Floats = NDArray[np.float32]


class Processor(Variants):
    """Base of `RecordingProcessor` and `ImageProcessor`.

    Training, evaluation, prediction and the board go through one of them, so no step outside the
    graph can differ between them. ``preprocess`` makes the graph's inputs and is each one's own.
    """

    __slots__ = ()

    labels: tuple[str, ...]

    def postprocess(self, probabilities: Floats) -> int:
        """The index in ``labels`` that ``probabilities`` [classes] stand for.

        Raises `ValidationError` where one is not finite: no label follows from that.
        """
        raise NotImplementedError

    def margin(self, probabilities: Floats) -> float:
        """How far ``probabilities`` [classes] are from another label."""
        raise NotImplementedError

    @classmethod
    def variant(cls, data: Mapping[str, Any]) -> type[Any]:
        """By ``kind``; without one it is a recording's, which had none at first."""
        from tinyml.core.image_processor import ImageProcessor
        from tinyml.core.recording_processor import RecordingProcessor

        kind = data.get("kind", "recording")
        if kind not in ("recording", "image"):
            raise ValueError(f"Invalid enum value {kind!r} - at `$.kind`")
        return ImageProcessor if kind == "image" else RecordingProcessor


def check_probabilities(labels: Sequence[str], probabilities: Floats) -> None:
    """Raise `ValidationError` for the first of ``labels`` whose probability is not finite."""
    named = dict(zip(labels, probabilities, strict=False))
    check_finite("the probability of", named, error=ValidationError)
