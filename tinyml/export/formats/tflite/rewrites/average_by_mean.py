"""``AVERAGE_POOL_2D (over the whole image)`` -> ``MEAN`` over its rows and columns.

XNNPACK's sparse path ends in an average over space, and knows that as a MEAN alone.
``avg_pool2d(x, x.shape[2:])`` becomes a pooling, ``adaptive_avg_pool2d(x, 1)`` a MEAN.

Fires in a file whose convolutions are stored sparse. Refused where the window is smaller
than the image or padded, for integers, and where an activation is computed along.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyml.modelfile import tflite_file
from tinyml.modelfile.tflite_edit import (
    add_constant,
    computes_sparse,
    is_float32,
    name_of,
    operator_code,
    shape_of,
)

FIRES_IN = "sparse depthwise"


def average_by_mean(model: Any) -> int:
    """Return the number of poolings replaced."""
    if not computes_sparse(model):
        return 0
    found = [operator for operator in model.subgraphs[0].operators if _fits(model, operator)]
    for operator in found:
        _replace(model, operator)
    return len(found)


def _fits(model: Any, operator: Any) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    if name_of(model, operator) != "AVERAGE_POOL_2D":
        return False
    options, image = operator.builtinOptions, int(operator.inputs[0])
    return (
        is_float32(model, image)
        and (options.filterHeight, options.filterWidth) == shape_of(model, image)[1:3]
        and options.padding == schema.Padding.VALID
        and options.fusedActivationFunction == schema.ActivationFunctionType.NONE
    )


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
