"""``AVERAGE_POOL_2D (over the whole image)`` -> ``MEAN`` over its rows and columns.

XNNPACK's sparse path ends in an average over space, and knows that as a MEAN alone.
``avg_pool2d(x, x.shape[2:])`` becomes a pooling, ``adaptive_avg_pool2d(x, 1)`` a MEAN.

Fires in a file whose convolutions are stored sparse. Refused where the window is smaller
than the image or padded, for integers, and where an activation is computed along.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyml.export.outcome import Outcome
from tinyml.modelfile import tflite_file
from tinyml.modelfile.tflite_edit import (
    NOT_SPARSE,
    add_constant,
    computes_sparse,
    is_float32,
    operator_code,
    operators_called,
    shape_of,
)

FIRES_IN = "sparse depthwise"


def average_by_mean(model: Any) -> Outcome:
    """Replace poolings over the whole image."""
    if not computes_sparse(model):
        return Outcome(0, {"": NOT_SPARSE})
    replaced, refused = 0, {}
    for name, operator in operators_called(model, "AVERAGE_POOL_2D"):
        if why := _why_not(model, operator):
            refused[name] = why
            continue
        _replace(model, operator)
        replaced += 1
    return Outcome(replaced, refused)


def _why_not(model: Any, operator: Any) -> str:
    from ai_edge_litert import schema_py_generated as schema

    options, image = operator.builtinOptions, int(operator.inputs[0])
    if not is_float32(model, image):
        return "it does not compute in float32"
    if (options.filterHeight, options.filterWidth) != shape_of(model, image)[1:3]:
        return "its window is not the whole image"
    if options.padding != schema.Padding.VALID:
        return "its window is padded"
    plain = options.fusedActivationFunction == schema.ActivationFunctionType.NONE
    return "" if plain else "an activation is computed along"


def _replace(model: Any, operator: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    image, average = int(operator.inputs[0]), int(operator.outputs[0])
    name = tflite_file.text(model.subgraphs[0].tensors[average].name)
    axes = add_constant(model, f"{name}/axes", np.array([1, 2], np.int32))
    operator.opcodeIndex = operator_code(model, "MEAN")
    operator.inputs = np.array([image, axes], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.ReducerOptions
    operator.builtinOptions = schema.ReducerOptionsT()
    operator.builtinOptions.keepDims = True
