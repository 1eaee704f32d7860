"""What a format offers for biases and weights of its float32 files, and what all share of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tinyml.core.spec import Array
from tinyml.export.quantization.adaptive_rounding import Product
from tinyml.export.quantization.weight_rounding import rounding_error
from tinyml.modelfile.float_layers import EditedLayer


class BiasEditor(Protocol):
    """A module of a format; ``model`` is the format's own object."""

    @property
    def CHANNEL_AXIS(self) -> int | None:  # noqa: N802
        """Where a product's output has its channels."""

    def unpack(self, data: bytes) -> Any:
        """The model in a file's bytes."""

    def pack(self, model: Any) -> bytes:
        """The file's bytes."""

    def bias_layers(self, model: Any) -> Iterator[EditedLayer]:
        """Those whose biases can be corrected."""

    def products(self, data: bytes) -> Iterator[Product]:
        """Those whose rounding can be adapted."""

    def set_weights(self, model: Any, weights: Mapping[str, Array]) -> None:
        """Other values for the weights of the layers, by output, that ``weights`` names."""

    def correct_biases(self, model: Any, shifts: Mapping[str, Array]) -> int:
        """Subtract ``shifts``, [channels] by layer's output, from the biases; how many."""

    def with_rounding_errors(self, data: bytes, scales: str) -> tuple[bytes, dict[str, str]]:
        """The file with one more layer next to each, which computes (W_q - W) x; their outputs."""


def with_rounded_weights(
    editor: BiasEditor, data: bytes, scales: str, shifts: Mapping[str, Array], *, corrected: bool
) -> bytes:
    """The file, still in float32, with W_q for W in the layers of ``shifts``.

    W_q is W in eight bits, ``scales`` ``per-channel`` or ``per-tensor``.
    """
    model = editor.unpack(data)
    layers = [layer for layer in editor.bias_layers(model) if layer.output in shifts]
    errors = ((own, rounding_error(own.weight, own.axis, scales)) for own in layers)
    editor.set_weights(model, {own.output: own.weight + error for own, error in errors})
    if corrected:
        editor.correct_biases(model, shifts)
    return editor.pack(model)
