"""float32 weights of convolutions and matrix products -> float16 and DEQUANTIZE.

By ai-edge-quantizer's ``float_casting``; XNNPACK takes such weights as they are, and any
other kernel computes in float32. Biases, tables and operands of other operators stay.
Refused for operators that compute one of the tensors ``keep``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tinyml.export.formats.tflite.quantizer_rules import keeping, rule
from tinyml.modelfile import tflite_file

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

    recipe = [rule(".*", "float_casting", _CAST), *keeping(model, keep)]
    cast = quantizer.Quantizer(bytearray(tflite_file.pack(model)), recipe).quantize()
    made = tflite_file.unpack(bytes(cast.quantized_model))
    for code in made.operatorCodes:
        if tflite_file.operator_name(code) == "DEQUANTIZE":
            code.version = max(code.version, FROM_FLOAT16)
    return made, _halves(made) - _halves(model)


def _halves(model: Any) -> int:
    from ai_edge_litert import schema_py_generated as schema

    half = schema.TensorType.FLOAT16
    return sum(tensor.type == half for graph in model.subgraphs for tensor in graph.tensors)
