"""``AVERAGE_POOL_2D (2x2, stride 2)`` -> ``DEPTHWISE_CONV_2D (3x3, stride 2)`` of ``PAD``.

XNNPACK's sparse path has no pooling inside, but a depthwise convolution. Over two by two
pixels it is one of 3x3 whose first row and column are zeros, padded by one on all sides,
and 1/4 elsewhere. A pooling of 3x3 or 5x5 that counts its padding (PyTorch's own way, which
the converter writes as a PAD in front) has a kernel of 1/9 or 1/25, and keeps that PAD.

Fires in a file whose convolutions are stored sparse. Refused for integers, for 2x2 on an
image with an odd side, where the convolution would take one more step, for poolings that
leave their padding out of the average, for other windows and strides, and with an activation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyml.core.spec import Array
from tinyml.export.outcome import Outcome
from tinyml.modelfile import tflite_file
from tinyml.modelfile.tflite_edit import (
    NOT_SPARSE,
    add_constant,
    computes_sparse,
    is_float32,
    name_of,
    operator_code,
    operators_called,
    pad_space,
    shape_of,
)

FIRES_IN = "sparse depthwise"


def average_by_depthwise(model: Any) -> Outcome:
    """Replace poolings that have the kernel of a depthwise convolution."""
    if not computes_sparse(model):
        return Outcome(0, {"": NOT_SPARSE})
    replaced, refused = 0, {}
    for name, operator in operators_called(model, "AVERAGE_POOL_2D"):
        kernel = _kernel(model, operator)
        if isinstance(kernel, str):
            refused[name] = kernel
            continue
        _replace(model, operator, kernel)
        replaced += 1
    return Outcome(replaced, refused)


def _kernel(model: Any, operator: Any) -> Array | str:
    """[rows, columns] of the depthwise convolution, or why there is none."""
    from ai_edge_litert import schema_py_generated as schema

    options, source = operator.builtinOptions, int(operator.inputs[0])
    if not is_float32(model, source):
        return "it does not compute in float32"
    if options.padding != schema.Padding.VALID:
        return "it leaves its padding out of the average"
    if options.fusedActivationFunction != schema.ActivationFunctionType.NONE:
        return "an activation is computed along"
    window, stride = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
    if window == stride == (2, 2):
        even = all(size % 2 == 0 for size in shape_of(model, source)[1:3])
        kernel = np.pad(np.full((2, 2), 1 / 4, np.float32), ((1, 0), (1, 0)))
        return kernel if even else "the image has an odd side"
    if window not in ((3, 3), (5, 5)) or stride not in ((1, 1), (2, 2)):
        return "no kernel has this window and stride"
    if not _is_padded(model, source, window[0] // 2):
        return "its padding is not counted"
    return np.full(window, 1 / (window[0] * window[1]), np.float32)


def _is_padded(model: Any, source: int, amount: int) -> bool:
    """Whether ``source`` is an image with ``amount`` zeros on all sides."""
    graph = model.subgraphs[0]
    made = [op for op in graph.operators if source in map(int, op.outputs)]
    if not made or name_of(model, made[0]) != "PAD":
        return False
    data = model.buffers[graph.tensors[int(made[0].inputs[1])].buffer].data
    sides = [] if data is None else np.frombuffer(bytes(data), "<i4").tolist()
    return bool(sides == [0, 0, *[amount] * 4, 0, 0])


def _replace(model: Any, operator: Any, kernel: Array) -> None:
    from ai_edge_litert import schema_py_generated as schema

    options, source = operator.builtinOptions, int(operator.inputs[0])
    channels = shape_of(model, source)[-1]
    name = tflite_file.text(model.subgraphs[0].tensors[int(operator.outputs[0])].name)
    weight = np.repeat(kernel[None, :, :, None], channels, 3)
    padded = pad_space(model, operator, 1) if options.filterHeight == 2 else source
    constants = [
        add_constant(model, f"{name}/weight", weight),
        add_constant(model, f"{name}/bias", np.zeros(channels, np.float32)),
    ]
    made = schema.DepthwiseConv2DOptionsT()
    made.padding, made.depthMultiplier = schema.Padding.VALID, 1
    made.strideH, made.strideW = options.strideH, options.strideW
    operator.opcodeIndex = operator_code(model, "DEPTHWISE_CONV_2D")
    operator.inputs = np.array([padded, *constants], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.DepthwiseConv2DOptions
    operator.builtinOptions = made
