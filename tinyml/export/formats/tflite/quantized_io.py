"""Scales and zero points of the quantized inputs and outputs of a .tflite file.

ai-edge-quantizer writes them (``--io int8``); they are read off the file.
"""

from __future__ import annotations

from typing import Any

from tinyml.core.quant_params import QuantParams
from tinyml.export.quantization.keep_float import stays_float
from tinyml.modelfile import tflite_file


def read_quantized_io(model: Any) -> dict[str, QuantParams]:
    """Signature's name -> parameters of every input and output that has a scale.

    Raises `UsageError` for one that is float32.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    types = {schema.TensorType.INT8: "int8", schema.TensorType.UINT8: "uint8"}
    found = {}
    for entry in (*signature.inputs, *signature.outputs):
        tensor, name = graph.tensors[int(entry.tensorIndex)], tflite_file.text(entry.name)
        if tensor.type == schema.TensorType.FLOAT32:
            raise stays_float(name)
        scales = None if tensor.quantization is None else tensor.quantization.scale
        if tensor.type in types and scales is not None and len(scales):
            zero = int(tensor.quantization.zeroPoint[0])
            found[name] = QuantParams(types[tensor.type], float(scales[0]), zero)
    return found
