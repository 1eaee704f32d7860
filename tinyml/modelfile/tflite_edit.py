"""Reading and adding operators and tensors of a TFLite file as objects."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tinyml.core.spec import Array
from tinyml.modelfile import tflite_file
from tinyml.modelfile.ops import TFLITE

WEIGHT = TFLITE["CONV_2D"].weight
# Why a rewrite for XNNPACK's sparse path leaves a file alone.
NOT_SPARSE = "no convolution is stored sparse"


def name_of(model: Any, operator: Any) -> str:
    """Name of what ``operator`` computes."""
    return tflite_file.operator_name(model.operatorCodes[operator.opcodeIndex])


def operators_called(model: Any, *names: str) -> list[tuple[str, Any]]:
    """Operators of the first subgraph that compute one of ``names``, by their output's name."""
    graph = model.subgraphs[0]
    return [
        (tflite_file.text(graph.tensors[int(own.outputs[0])].name), own)
        for own in graph.operators
        if name_of(model, own) in names
    ]


def shape_of(model: Any, index: int) -> tuple[int, ...]:
    """The shape of a tensor of the first subgraph; of a scalar, ``()``."""
    shape = model.subgraphs[0].tensors[index].shape
    return () if shape is None else tuple(int(size) for size in shape)


def is_float32(model: Any, index: int) -> bool:
    """Whether a tensor's values are float32."""
    from ai_edge_litert import schema_py_generated as schema

    return bool(model.subgraphs[0].tensors[index].type == schema.TensorType.FLOAT32)


def operator_code(model: Any, name: str) -> int:
    """Index of the code of the built-in operator ``name``, version 1 if it is new."""
    from ai_edge_litert import schema_py_generated as schema

    for place, code in enumerate(model.operatorCodes):
        if tflite_file.operator_name(code) == name:
            return place
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, name)
    code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def add_buffer(model: Any, values: Array) -> int:
    """Index of a new buffer that holds ``values``."""
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def add_constant(model: Any, name: str, values: Array) -> int:
    """Index of a new constant of ``values``, float32 or int32."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.name, tensor.buffer = name, add_buffer(model, values)
    tensor.shape = np.array(values.shape, np.int32)
    tensor.type = getattr(schema.TensorType, str(values.dtype).upper())
    return _append(model, tensor)


def add_computed(model: Any, like: int, name: str, shape: tuple[int, ...]) -> int:
    """Index of a new computed tensor of ``like``'s type."""
    tensor = copy.copy(model.subgraphs[0].tensors[like])
    tensor.name, tensor.buffer, tensor.shape = name, 0, np.array(shape, np.int32)
    tensor.shapeSignature = None
    return _append(model, tensor)


def pad_space(model: Any, before: Any, amount: int) -> int:
    """Index of ``before``'s first operand, ``amount`` zeros around it, from a PAD in front."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    source = int(before.inputs[0])
    name = tflite_file.text(graph.tensors[int(before.outputs[0])].name)
    sides = np.array([[0, 0], [amount, amount], [amount, amount], [0, 0]], np.int32)
    batch, rows, columns, channels = shape_of(model, source)
    shape = (batch, rows + 2 * amount, columns + 2 * amount, channels)
    operator = schema.OperatorT()
    operator.opcodeIndex = operator_code(model, "PAD")
    operator.builtinOptionsType = schema.BuiltinOptions.PadOptions
    operator.builtinOptions = schema.PadOptionsT()
    amounts = add_constant(model, f"{name}/sides", sides)
    padded = add_computed(model, source, f"{name}/padded", shape)
    operator.inputs = np.array([source, amounts], np.int32)
    operator.outputs = np.array([padded], np.int32)
    place = next(i for i, operator in enumerate(graph.operators) if operator is before)
    graph.operators.insert(place, operator)
    return padded


def computes_sparse(model: Any) -> bool:
    """Whether a convolution in float32 has a weight that is stored sparse.

    That is what makes XNNPACK look for its sparse path; integers have none.
    """
    made = {int(index): op for op in model.subgraphs[0].operators for index in op.outputs}
    return any(
        name_of(model, operator) == "CONV_2D"
        and is_float32(model, int(operator.inputs[0]))
        and _is_densified(model, made, int(operator.inputs[WEIGHT]))
        for operator in model.subgraphs[0].operators
    )


def _is_densified(model: Any, made: dict[int, Any], index: int) -> bool:
    operator = made.get(index)
    if operator is None:
        return False
    name = name_of(model, operator)
    if name == "DEQUANTIZE":
        return _is_densified(model, made, int(operator.inputs[0]))
    return name == "DENSIFY"


def _append(model: Any, tensor: Any) -> int:
    tensors = model.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1
