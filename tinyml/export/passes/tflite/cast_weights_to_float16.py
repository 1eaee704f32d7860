"""float32 weights of convolutions and matrix products -> float16 and DEQUANTIZE.

By ai-edge-quantizer's ``float_casting``; XNNPACK takes such weights as they are, and any
other kernel computes in float32. Biases, tables and operands of other operators stay.
Refused for operators that compute one of the tensors ``keep``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection
from typing import Any

from tinyml.export import flatbuffer

# The version of DEQUANTIZE that takes float16: tensorflow/lite/tools/versioning/op_version.cc.
FROM_FLOAT16 = 3
_CAST = {
    "weight_tensor_config": {"num_bits": 16, "dtype": "FLOAT"},
    "compute_precision": "FLOAT",
    "explicit_dequantize": True,
}


def cast_weights_to_float16(model: Any, keep: Collection[str] = ()) -> tuple[Any, int]:
    """Return a new model and the number of weights that became float16."""
    from ai_edge_quantizer import quantizer

    recipe = [_rule(".*", "float_casting", _CAST)]
    if keep:
        own_constants(model, keep)
        named = "|".join(re.escape(name) for name in sorted(keep))
        recipe.append(_rule(f"^(?:{named});", "no_quantize", {}))
    cast = quantizer.Quantizer(bytearray(flatbuffer.pack(model)), recipe).quantize()
    made = flatbuffer.unpack(bytes(cast.quantized_model))
    for code in made.operatorCodes:
        if flatbuffer.operator_name(code) == "DEQUANTIZE":
            code.version = max(code.version, FROM_FLOAT16)
    return made, _halves(made) - _halves(model)


def own_constants(model: Any, keep: Collection[str]) -> None:
    """A constant of a kept operator is its alone: the quantizer cannot have it both ways."""
    for graph in model.subgraphs:
        computed = {int(index) for operator in graph.operators for index in operator.outputs}
        computed |= {int(index) for index in graph.inputs}
        for operator in graph.operators:
            if not any(flatbuffer.text(graph.tensors[i].name) in keep for i in operator.outputs):
                continue
            operator.inputs = [
                index if index < 0 or index in computed else _copied(model, graph, index)
                for index in map(int, operator.inputs)
            ]


def _copied(model: Any, graph: Any, index: int) -> int:
    tensor = copy.copy(graph.tensors[index])
    tensor.name = f"{flatbuffer.text(tensor.name)}~{len(graph.tensors)}"
    model.buffers.append(copy.copy(model.buffers[tensor.buffer]))
    tensor.buffer = len(model.buffers) - 1
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _rule(regex: str, algorithm: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "regex": regex,
        "operation": "*",
        "algorithm_key": algorithm,
        "op_config": config,
    }


def _halves(model: Any) -> int:
    from ai_edge_litert import schema_py_generated as schema

    half = schema.TensorType.FLOAT16
    return sum(tensor.type == half for graph in model.subgraphs for tensor in graph.tensors)
