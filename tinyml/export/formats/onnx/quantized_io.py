"""Quantized inputs and outputs of an .onnx file: what ``--io int8`` or ``uint8`` does to its graph.

    x -> QuantizeLinear -> q -> DequantizeLinear -> ...    =>    x -> DequantizeLinear -> ...
    ... -> QuantizeLinear -> q -> DequantizeLinear -> y    =>    ... -> QuantizeLinear -> y
    ... -> Softmax -> y                                    =>    ... -> QuantizeLinear -> y

where nothing but the pair reads x; what else reads y reads the integers dequantized. The
scale and zero point go into the graph's ``quantization_annotation``, as the specification of
ONNX has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyml.core.quant_params import QuantParams, step
from tinyml.export.quantization.keep_float import stays_float
from tinyml.export.quantization.ranges import Range

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
# What onnxruntime's quantizer appends to the name of a value that has gone through a pair.
DEQUANTIZED = "_DequantizeLinear_Output"
# What is appended to an input or output for the real numbers that its integers stand for.
REAL = "_real"


def quantize_io(
    model: Any, ranges: Mapping[str, Range], dtype: str = "int8"
) -> dict[str, QuantParams]:
    """Change the ``onnx.ModelProto`` so that float inputs and outputs are integers; which.

    ``ranges``: of inputs and outputs, for those that the quantizer left in float32; they become
    ``dtype``, as the others are. Raises `UsageError` naming one that has none.
    """
    import onnx

    graph, floats = model.graph, onnx.TensorProto.FLOAT
    found = {}
    for values, become in ((graph.input, _input), (graph.output, _output)):
        for value in values:
            if value.type.tensor_type.elem_type == floats:
                pair = become(graph, value.name, ranges.get(value.name), dtype)
                found[value.name] = _annotated(graph, value, pair)
    return found


def _input(graph: Any, name: str, within: Range | None, dtype: str) -> Any:
    """The node with the constants of the integers that ``name`` becomes."""
    readers = [node for node in graph.node if name in node.input]
    if [node.op_type for node in readers] == [QUANTIZE]:
        _rename(graph, readers[0].output[0], name)
        graph.node.remove(readers[0])
        return readers[0]
    constants = _constants(graph, name, within, dtype)
    _rename(graph, name, f"{name}{REAL}")
    graph.node.insert(0, _node(DEQUANTIZE, [name, *constants], f"{name}{REAL}"))
    return graph.node[0]


def _output(graph: Any, name: str, within: Range | None, dtype: str) -> Any:
    """As `_input`, of an output."""
    made = {out: node for node in graph.node for out in node.output}
    if name not in made:
        return _constant_output(graph, name, dtype)
    last = made[name]
    first = made.get(last.input[0]) if last.op_type == DEQUANTIZE else None
    place = list(last.output).index(name)
    if first is None or first.op_type != QUANTIZE:
        constants = _constants(graph, name, within, dtype)
        last.output[place] = f"{name}{REAL}"
        _rename(graph, name, f"{name}{REAL}")
        graph.node.append(_node(QUANTIZE, [f"{name}{REAL}", *constants], name))
        return graph.node[-1]
    if any(name in node.input for node in graph.node):  # read inside too: as real numbers
        last.output[0] = f"{name}{DEQUANTIZED}"
        _rename(graph, name, last.output[0])
    else:
        graph.node.remove(last)
    _rename(graph, first.output[0], name)
    first.output[0] = name
    return first


def _constant_output(graph: Any, name: str, dtype: str) -> Any:
    """As `_output`, of a constant, whose values are its range."""
    import onnx

    own = next(tensor for tensor in graph.initializer if tensor.name == name)
    values = onnx.numpy_helper.to_array(own)
    within = Range(float(values.min()), float(values.max()))
    constants = _constants(graph, name, within, dtype)
    own.name = f"{name}{REAL}"
    _rename(graph, name, own.name)
    graph.node.append(_node(QUANTIZE, [own.name, *constants], name))
    return graph.node[-1]


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new


def _node(op: str, inputs: list[str], output: str) -> Any:
    import onnx

    return onnx.helper.make_node(op, inputs, [output])


def _constants(graph: Any, name: str, within: Range | None, dtype: str) -> tuple[str, str]:
    """Names of a scale and a zero point over ``within``, which are added to the graph."""
    import onnx

    if within is None:
        raise stays_float(name, dtype)
    scale = np.float32(step(dtype, within.low, within.high) or 1.0)
    ends = np.iinfo(dtype)
    low = min(within.low, 0.0)
    zero = np.clip(np.round(ends.min - low / scale), ends.min, ends.max).astype(dtype)
    names = (f"{name}_scale", f"{name}_zero_point")
    for constant, value in zip(names, (scale, zero), strict=True):
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), constant))
    return names


def _annotated(graph: Any, value: Any, pair: Any) -> QuantParams:
    """The pair's constants; the value gets their type and annotation."""
    import onnx

    constants = {tensor.name: tensor for tensor in graph.initializer}
    scale, zero = (constants[name] for name in pair.input[1:3])
    value.type.tensor_type.elem_type = zero.data_type
    annotation = graph.quantization_annotation.add()
    annotation.tensor_name = value.name
    for key, tensor in (("SCALE_TENSOR", scale), ("ZERO_POINT_TENSOR", zero)):
        entry = annotation.quant_parameter_tensor_names.add()
        entry.key, entry.value = key, tensor.name
    numbers = onnx.numpy_helper.to_array(zero)
    return QuantParams(numbers.dtype.name, float(onnx.numpy_helper.to_array(scale)), int(numbers))
