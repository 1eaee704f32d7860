"""What eight bits make of a weight, as both quantizers round it: arrays in, arrays out.

Symmetric, from -127 to 127 over the largest magnitude, of each output channel or of the
whole weight. (A channel whose bias is too large for it is given a coarser scale by the
quantizers; what its weights contribute is then below a ten-thousandth of that bias.)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinyml.core.spec import Array

LEVELS = 127
# ai-edge-quantizer's smallest magnitude: a channel without weights still has a scale.
SMALLEST = 1e-9


def rounded(weight: Array, axis: int | None) -> tuple[Array, Array]:
    """(int8 values, float32 scales), one scale for each place along ``axis``, or a single one.

    The scales have as many axes as ``weight``: values times scales are the rounded weight.
    """
    others = tuple(i for i in range(weight.ndim) if axis is None or i != axis % weight.ndim)
    largest = np.maximum(np.abs(weight).max(axis=others, keepdims=True), np.float32(SMALLEST))
    scale = largest / np.float32(LEVELS)
    return np.clip(np.rint(weight / scale), -LEVELS, LEVELS).astype(np.int8), scale


def rounding_error(weight: Array, axis: int, scales: str) -> Array:
    """``weight`` in eight bits less ``weight``, both float32.

    ``axis``: of its output channels; ``scales``: ``per-channel`` or ``per-tensor``.
    """
    values, scale = rounded(weight, None if scales == "per-tensor" else axis)
    return np.asarray(values * scale - weight, np.float32)


def adapted_file(path: Path) -> Path:
    """Where the adapted weights of the float32 file at ``path`` lie, by their layer's output."""
    return path.with_name(f"{path.name}.adapted.safetensors")


def save_adapted(path: Path, weights: Mapping[str, Array]) -> None:
    """Keep ``weights``, float32 on their grid of integers, next to the file at ``path``."""
    from safetensors.numpy import save_file

    save_file(dict(weights), adapted_file(path))


def load_adapted(path: Path) -> dict[str, Array]:
    """What `save_adapted` kept."""
    from safetensors.numpy import load_file

    return dict(load_file(adapted_file(path)))
