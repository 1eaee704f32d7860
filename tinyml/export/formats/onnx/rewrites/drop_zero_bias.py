"""``Conv(x, w, 0)`` -> ``Conv(x, w)``.

PyTorch writes a vector of zeros for ``bias=False``. Refused for a bias that is no
constant or has a value other than zero.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

_TAKES_BIAS = {"Conv", "ConvTranspose"}


def drop_zero_bias(model: ir.Model) -> int:
    """Return the number of biases removed."""
    removed = 0
    for node in model.graph:
        if node.op_type in _TAKES_BIAS and len(node.inputs) == 3 and _is_zero(node.inputs[2]):
            node.resize_inputs(2)
            removed += 1
    return removed


def _is_zero(value: ir.Value | None) -> bool:
    constant = None if value is None else ir.convenience.get_const_tensor(value)
    return constant is not None and not np.any(constant.numpy())
