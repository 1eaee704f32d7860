"""``CONV_2D | DEPTHWISE_CONV_2D (stride 2, SAME)`` -> the same VALID, of ``PAD``.

XNNPACK's sparse path takes a strided convolution whose zeros are written out, alike on all
sides: it cannot tell how many SAME means. The converter writes PyTorch's padding as SAME
where both mean the same, which is on images of an odd number of rows and columns.

Fires in a file whose convolutions are stored sparse, on what that path takes: 3x3 of three
channels, and depthwise 3x3 and 5x5. XNNPACK computes a PAD together with what follows.

Refused where SAME is not alike on all sides, as TensorFlow pads even images; without a
stride, where XNNPACK works the zeros out itself; for dilated kernels, integers, other
kernels and several outputs a channel, which the path does not take either way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyml.modelfile.tflite_edit import (
    WEIGHT,
    computes_sparse,
    is_float32,
    name_of,
    pad_space,
    shape_of,
)

FIRES_IN = "sparse depthwise"

ENTRY_CHANNELS = 3


def pad_explicitly(model: Any) -> int:
    """Return the number of convolutions that are padded by a PAD now."""
    from ai_edge_litert import schema_py_generated as schema

    if not computes_sparse(model):
        return 0
    found = [op for op in model.subgraphs[0].operators if _is_taken(model, op) and _fits(model, op)]
    for operator in found:
        amount = shape_of(model, int(operator.inputs[WEIGHT]))[1] // 2
        padded = pad_space(model, operator, amount)
        operator.inputs = np.array([padded, *operator.inputs[1:]], np.int32)
        operator.builtinOptions.padding = schema.Padding.VALID
    return len(found)


def _is_taken(model: Any, operator: Any) -> bool:
    """Whether the sparse path has a kernel for it."""
    name = name_of(model, operator)
    if name not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return False
    if not is_float32(model, int(operator.inputs[0])):
        return False
    channels = shape_of(model, int(operator.inputs[0]))[-1]
    _, rows, columns, inputs = shape_of(model, int(operator.inputs[WEIGHT]))
    if name == "CONV_2D":
        return channels == inputs == ENTRY_CHANNELS and rows == columns == 3
    return channels == inputs and rows == columns and rows in (3, 5)


def _fits(model: Any, operator: Any) -> bool:
    """Whether its SAME is half a kernel on every side."""
    from ai_edge_litert import schema_py_generated as schema

    options = operator.builtinOptions
    if options.padding != schema.Padding.SAME or (options.strideH, options.strideW) != (2, 2):
        return False
    if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
        return False
    # kernels are odd: stride * (steps - 1) + kernel - size zeros are kernel - 1 of them
    return all(size % 2 == 1 for size in shape_of(model, int(operator.inputs[0]))[1:3])
