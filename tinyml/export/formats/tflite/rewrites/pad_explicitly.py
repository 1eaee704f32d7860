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

from tinyml.export.outcome import Outcome
from tinyml.modelfile.tflite_edit import (
    NOT_SPARSE,
    WEIGHT,
    computes_sparse,
    is_float32,
    name_of,
    operators_called,
    pad_space,
    shape_of,
)

FIRES_IN = "sparse depthwise"

ENTRY_CHANNELS = 3


def pad_explicitly(model: Any) -> Outcome:
    """Pad strided convolutions by a PAD."""
    from ai_edge_litert import schema_py_generated as schema

    if not computes_sparse(model):
        return Outcome(0, {"": NOT_SPARSE})
    padded_now, refused = 0, {}
    for name, operator in operators_called(model, "CONV_2D", "DEPTHWISE_CONV_2D"):
        if why := _why_not(model, operator):
            refused[name] = why
            continue
        amount = shape_of(model, int(operator.inputs[WEIGHT]))[1] // 2
        padded = pad_space(model, operator, amount)
        operator.inputs = np.array([padded, *operator.inputs[1:]], np.int32)
        operator.builtinOptions.padding = schema.Padding.VALID
        padded_now += 1
    return Outcome(padded_now, refused)


def _is_taken(model: Any, operator: Any) -> bool:
    """Whether the sparse path has a kernel of its size."""
    name = name_of(model, operator)
    channels = shape_of(model, int(operator.inputs[0]))[-1]
    _, rows, columns, inputs = shape_of(model, int(operator.inputs[WEIGHT]))
    if name == "CONV_2D":
        return channels == inputs == ENTRY_CHANNELS and rows == columns == 3
    return channels == inputs and rows == columns and rows in (3, 5)


def _why_not(model: Any, operator: Any) -> str:
    """Empty where its SAME is half a kernel on every side."""
    from ai_edge_litert import schema_py_generated as schema

    options, source = operator.builtinOptions, int(operator.inputs[0])
    if not is_float32(model, source):
        return "it does not compute in float32"
    if not _is_taken(model, operator):
        return "the sparse path has no kernel of its size"
    if options.padding != schema.Padding.SAME or (options.strideH, options.strideW) != (2, 2):
        return "its stride is not 2, or its padding is written out already"
    if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
        return "its kernel is dilated"
    # kernels are odd: stride * (steps - 1) + kernel - size zeros are kernel - 1 of them
    odd = all(size % 2 == 1 for size in shape_of(model, source)[1:3])
    return "" if odd else "the image has an even side: SAME is not alike on all sides"
