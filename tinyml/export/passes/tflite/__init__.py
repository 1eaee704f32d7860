"""Rewrites of the flatbuffer's objects, in the order applied. Each returns how often it fired."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyml.export.passes.tflite.share_buffers import share_buffers
from tinyml.export.passes.tflite.strip_metadata import strip_metadata

PASSES: dict[str, Callable[[Any], int]] = {
    "strip_metadata": strip_metadata,
    "share_buffers": share_buffers,
}

# What a precision"s plan asks for: `tinyml.export.precision`.
ON_REQUEST = ("cast_weights_to_float16",)


def rewrite(model: Any) -> dict[str, int]:
    """Apply every pass to ``model``, a ``schema.ModelT``, in place; returns the counts."""
    return {name: apply(model) for name, apply in PASSES.items()}
