"""``CONV_2D 1x1 | FULLY_CONNECTED (constant)`` -> the same of ``DENSIFY(sparse constant)``.

A weight that is stored in half precision (``fp16``) or in eight bits that floats read
(``w8``) keeps its ``DEQUANTIZE``, behind the ``DENSIFY``. The runtime makes the dense tensor
once, when it loads the file; where its XNNPACK has sparse kernels, the ``DENSIFY`` is what
makes it look for zeros.

Refused for a weight

- whose sparse form with what describes it is not smaller;
- that anything but 1x1 convolutions and matrix products reads, or that the graph gives out;
- of a matrix product in int8 arithmetic: LiteRT 2.3 cannot prepare it with XNNPACK;
- of a dynamic-range operator, whose input is float and whose weight is int8: the same.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tinyml.export.outcome import Outcome
from tinyml.modelfile import sparse_encoding, tflite_file
from tinyml.modelfile.tflite_edit import WEIGHT, add_buffer, name_of, operator_code

FIRES_IN = "pointwise"

CONSUMERS = ("CONV_2D", "FULLY_CONNECTED")
# What the tensor, the operator and the description of the dimensions take in the file:
# 283 to 347 bytes were seen, by blocks; a long name takes more.
DESCRIPTION_BYTES = 512


def store_sparse(model: Any) -> Outcome:
    """Store weights without their zeros."""
    graph = model.subgraphs[0]
    stored, refused = 0, {}
    weights = _weights(model, graph)
    for index, why in weights.items():
        tensor = graph.tensors[index]
        if why:
            refused[tflite_file.text(tensor.name)] = why
            continue
        weight = tflite_file.array(model, tensor, _types()[int(tensor.type)])
        encoded = sparse_encoding.encode(weight)
        if encoded.size_bytes + DESCRIPTION_BYTES >= weight.nbytes:
            refused[tflite_file.text(tensor.name)] = "its sparse form is not smaller"
            continue
        _store(model, graph, index, encoded)
        stored += 1
    return Outcome(stored, refused)


def _weights(model: Any, graph: Any) -> dict[int, str]:
    """Matrices of constants -> why they stay dense; empty where their readers can densify."""
    readers: dict[int, list[tuple[Any, int]]] = {}
    for operator in graph.operators:
        for place, index in enumerate(map(int, operator.inputs)):
            readers.setdefault(index, []).append((operator, place))
    given_out = {int(index) for index in graph.outputs}
    found = {}
    for index, tensor in enumerate(graph.tensors):
        if index not in readers or tensor.sparsity is not None or not _is_matrix(model, tensor):
            continue
        if index in given_out or tensor.isVariable:
            found[index] = "it is an output or a variable"
        elif not all(_may_read(model, graph, readers, *reader) for reader in readers[index]):
            found[index] = "an operator that cannot read it from a DENSIFY reads it"
        else:
            found[index] = ""
    return found


def _is_matrix(model: Any, tensor: Any) -> bool:
    shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]
    data = model.buffers[tensor.buffer].data
    flat = len(shape) in (2, 4) and all(size == 1 for size in shape[1:-1])
    return flat and data is not None and len(data) > 0 and int(tensor.type) in _types()


def _may_read(model: Any, graph: Any, readers: Any, operator: Any, place: int) -> bool:
    name = name_of(model, operator)
    if name == "DEQUANTIZE":
        (dense,) = map(int, operator.outputs)
        return all(_may_read(model, graph, readers, *reader) for reader in readers.get(dense, ()))
    if name not in CONSUMERS or place != WEIGHT:
        return False
    weight = graph.tensors[int(operator.inputs[WEIGHT])]
    if int(weight.type) != _int8():
        return True
    return name == "CONV_2D" and int(graph.tensors[int(operator.inputs[0])].type) == _int8()


def _store(model: Any, graph: Any, index: int, encoded: sparse_encoding.SparseWeight) -> None:
    """The tensor ``index`` is computed now, from a new one that is stored."""
    from ai_edge_litert import schema_py_generated as schema

    dense = graph.tensors[index]
    sparse = copy.copy(dense)
    sparse.name = f"{tflite_file.text(dense.name)}/sparse"
    sparse.sparsity = sparse_encoding.parameters(encoded)
    sparse.buffer = add_buffer(model, encoded.values)
    dense.buffer = 0
    graph.tensors.append(sparse)
    operator = schema.OperatorT()
    operator.opcodeIndex = operator_code(model, "DENSIFY")
    operator.inputs = np.array([len(graph.tensors) - 1], np.int32)
    operator.outputs = np.array([index], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.DensifyOptions
    operator.builtinOptions = schema.DensifyOptionsT()
    graph.operators.insert(0, operator)


def _types() -> dict[int, type[np.generic]]:
    from ai_edge_litert import schema_py_generated as schema

    kind = schema.TensorType
    return {kind.FLOAT32: np.float32, kind.FLOAT16: np.float16, kind.INT8: np.int8}


def _int8() -> int:
    from ai_edge_litert import schema_py_generated as schema

    return int(schema.TensorType.INT8)
