"""Layers that the plan keeps in float32 stay float32 when onnxruntime loads the file.

``DequantizeLinear -> Conv -> QuantizeLinear`` -> ``DequantizeLinear -> Max(x, lowest) -> Conv ->
QuantizeLinear``

Between the two, onnxruntime (1.20 on, ``WeightBiasQuantization``) quantizes a float weight
itself when it loads the file, with one scale, against what the file holds: a layer that was kept
because one scale cannot serve it is lost again, and only with optimisations on. No float is
below the lowest one, so Max changes nothing, and the optimiser does not know. Of the same kind is
an average in ceil mode, which onnxruntime replaces by its integer one, whose count is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyml.export.quantization.integer_kernels import CEIL_MODE

# Those that WeightBiasQuantization looks for.
REQUANTIZED = ("Conv", "ConvTranspose", "Gemm")
LOWEST = "lowest"


def guard_float_layers(model: Any, kept: Mapping[str, str]) -> int:
    """Guard every operator in ``kept``, by its first output; returns how many needed it."""
    import onnx

    makers = {name: node for node in model.graph.node for name in node.output}
    guarded = 0
    for place, node in reversed(list(enumerate(model.graph.node))):
        why = kept.get(node.output[0])
        if why is None or (node.op_type not in REQUANTIZED and why != CEIL_MODE):
            continue
        maker = makers.get(node.input[0])
        if maker is None or maker.op_type != "DequantizeLinear":
            continue
        name = f"{node.output[0]}~input"
        guard = onnx.helper.make_node("Max", [node.input[0], LOWEST], [name])
        node.input[0] = name
        model.graph.node.insert(place, guard)
        guarded += 1
    if guarded:
        lowest = np.array(np.finfo(np.float32).min)
        model.graph.initializer.append(onnx.numpy_helper.from_array(lowest, LOWEST))
    return guarded
