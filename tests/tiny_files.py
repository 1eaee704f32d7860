"""Model files of a few operators, written by hand: each has one thing for lint to find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.modelfile.tflite_file import import_schema, write_tflite

IMAGE = (1, 8, 8, 3)
Tensors = Mapping[str, Any]
Operators = Sequence[tuple[str, Sequence[str], Sequence[str]]]


def array(*shape: int, dtype: str = "float32") -> np.ndarray[Any, Any]:
    """Seeded noise: no two slices of it are the same."""
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def tflite(
    path: Path, tensors: Tensors, operators: Operators, ends: tuple[str, str] = ("x", "y")
) -> Path:
    """``tensors``: name -> an array (a constant), or (shape, dtype) of what is computed."""
    schema = import_schema()
    codes = sorted({op for op, _, _ in operators})
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [_code(op) for op in codes]
    model.buffers, graph.tensors, graph.operators = [schema.BufferT()], [], []
    names = list(tensors)
    for name, given in tensors.items():
        tensor = schema.TensorT()
        constant = isinstance(given, np.ndarray)
        shape, dtype = (given.shape, str(given.dtype)) if constant else given
        tensor.name, tensor.shape = name, list(shape)
        tensor.type = getattr(schema.TensorType, dtype.upper())
        if constant:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(given.tobytes(), np.uint8)
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(tensor)
    for op, inputs, outputs in operators:
        operator = schema.OperatorT()
        operator.opcodeIndex = codes.index(op)
        operator.inputs = [names.index(name) for name in inputs]
        operator.outputs = [names.index(name) for name in outputs]
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [names.index(ends[0])], [names.index(ends[1])]
    write_tflite(path, model)
    return path


def _code(op: str) -> Any:
    schema = import_schema()
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, op)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    return code


def onnx_file(path: Path, text: str, **constants: np.ndarray[Any, Any]) -> Path:
    """A model in ONNX's own text form; ``constants`` by name."""
    import onnx
    import onnx.parser

    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]>\n{text}')
    for name, values in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    path.write_bytes(model.SerializeToString())
    return path


def chain(steps: int) -> tuple[dict[str, Any], list[tuple[str, list[str], list[str]]]]:
    """(tensors, operators) of a recurrence over ``steps``, written out for TFLite."""
    tensors: dict[str, Any] = {"x": ((1, 4), "float32"), "w": array(4, 4)}
    operators = []
    before = "x"
    for step in range(steps):
        product, state = f"p{step}", "y" if step == steps - 1 else f"h{step}"
        tensors |= {product: ((1, 4), "float32"), state: ((1, 4), "float32")}
        operators += [("FULLY_CONNECTED", [before, "w"], [product])]
        operators += [("TANH", [product], [state])]
        before = state
    return tensors, operators


def product(path: Path, weight: np.ndarray[Any, Any], op: str = "MatMul") -> Path:
    """x [1, rows] and a stored weight [rows, columns]."""
    rows, columns = weight.shape if op == "MatMul" else (weight.shape[1],) * 2
    text = f"m (float[1, {rows}] x) => (float[1, {columns}] y) {{ y = {op}(x, w) }}"
    return onnx_file(path, text, w=weight)


def single(path: Path, op: str, dtype: str = "float32") -> Path:
    """One operator from x to y."""
    return tflite(path, {"x": (IMAGE, dtype), "y": (IMAGE, dtype)}, [(op, ["x"], ["y"])])
