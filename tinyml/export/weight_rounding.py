"""What eight bits make of a weight, as both quantizers round it: arrays in, arrays out.

Symmetric, from -127 to 127 over the largest magnitude, of each output channel or of the
whole weight. (A channel whose bias is too large for it is given a coarser scale by the
quantizers; what its weights contribute is then below a ten-thousandth of that bias.)
"""

from __future__ import annotations

import numpy as np

from tinyml.spec import Array

LEVELS = 127


def rounding_error(weight: Array, axis: int, scales: str) -> Array:
    """``weight`` in eight bits less ``weight``, both float32.

    ``axis``: of its output channels; ``scales``: ``per-channel`` or ``per-tensor``.
    """
    others = tuple(
        i for i in range(weight.ndim) if scales == "per-tensor" or i != axis % weight.ndim
    )
    largest = np.abs(weight).max(axis=others, keepdims=True)
    step = np.where(largest > 0, largest / np.float32(LEVELS), np.float32(1)).astype(np.float32)
    return np.asarray(np.rint(weight / step) * step - weight, np.float32)
