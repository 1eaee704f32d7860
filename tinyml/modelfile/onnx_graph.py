"""An ONNX file as a `Graph`."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.modelfile.broken_file import BrokenFileError, reading
from tinyml.modelfile.contents import FileContents, TensorSummary
from tinyml.modelfile.graph import Graph, Operator, Tensor, size_bytes
from tinyml.modelfile.infer_shapes import inferred
from tinyml.modelfile.onnx_file import (
    graphs_of,
    import_onnx,
    is_fixed,
    known_shape,
    read_onnx,
    tensor_array,
)
from tinyml.modelfile.ops import WEIGHTED, Shape

STANDARD = ("", "ai.onnx", "ai.onnx.ml")
NAMES = {"float": "float32", "double": "float64"}


def onnx_contents(path: Path) -> FileContents:
    """Everything in ``path``; a free first size of an input, the batch, counts as 1."""
    model = read_onnx(path)
    with reading(path):
        shaped = inferred(path)
        nodes = [node for graph in graphs_of(shaped.graph) for node in graph.node]
        weights = {weight.name for weight in model.graph.initializer}
        versions = {own.domain or "ai.onnx": int(own.version) for own in model.opset_import}
        foreign = {_op(node) for node in nodes if node.domain not in STANDARD}
        return FileContents(
            format="onnx",
            graphs=(_graph(shaped, path, list(graphs_of(shaped.graph))),),
            inputs=_signature(own for own in model.graph.input if own.name not in weights),
            outputs=_signature(model.graph.output),
            ops=tuple(_op(node) for node in nodes),
            versions={**versions, "ir": int(model.ir_version)},
            custom=tuple(sorted(foreign)),
        )


def read_onnx_graph(path: Path, *, infer_shapes: bool) -> Graph:
    """The main graph of ``path``."""
    with reading(path):
        return graph_of_onnx(inferred(path) if infer_shapes else read_onnx(path), path)


def graph_of_onnx(model: Any, path: Path = Path()) -> Graph:
    """The main graph of an ``onnx.ModelProto``; ``path``: where it was read from."""
    return _graph(model, path, [model.graph])


def _graph(model: Any, path: Path, graphs: list[Any]) -> Graph:
    """Of ``graphs`` as one: the main one, and those in its branches and loops."""
    tensors: dict[str, Tensor] = {}
    for value in (v for own in graphs for v in (*own.input, *own.value_info, *own.output)):
        if value.type.HasField("tensor_type"):
            kind = _dtype(value.type.tensor_type.elem_type)
            tensors[value.name] = Tensor(value.name, known_shape(value), kind)
    tensors |= {own.name: _stored(path, own) for graph in graphs for own in graph.initializer}
    nodes = []
    for node in (node for graph in graphs for node in graph.node):
        constant = _constant(path, node)
        if constant is not None:
            tensors[constant.name] = constant
            continue
        nodes.append(node)
        for name in filter(None, (*node.input, *node.output)):
            tensors.setdefault(name, Tensor(name, None, "unknown"))
    return Graph(
        operators=tuple(_operator(node, tensors) for node in nodes),
        outputs=tuple(own.name for own in model.graph.output),
        inputs=tuple(own.name for own in model.graph.input if not _is_stored(tensors, own.name)),
        tensors=tensors,
        format="onnx",
        file_bytes=path.stat().st_size if path.is_file() else 0,
    )


def _is_stored(tensors: Mapping[str, Tensor], name: str) -> bool:
    return name in tensors and tensors[name].constant is not None


def _operator(node: Any, tensors: Mapping[str, Tensor]) -> Operator:
    onnx = import_onnx()
    operands = tuple(name for name in node.input if name)
    outputs = tuple(name for name in node.output if name)
    name = outputs[0] if outputs else ""
    return Operator(
        name=name,
        op=_op(node),
        inputs=tuple(own for own in operands if tensors[own].constant is None),
        outputs=outputs,
        weight=_weight(node, tensors),
        operands=operands,
        attributes={own.name: onnx.helper.get_attribute_value(own) for own in node.attribute},
        label=str(node.name) or name,
    )


def _weight(node: Any, tensors: Mapping[str, Tensor]) -> str:
    traits = WEIGHTED.get(_op(node))
    if traits is None or not traits.in_int8 or len(node.input) <= traits.weight:
        return ""
    name = str(node.input[traits.weight])
    weight = tensors.get(name)
    if weight is None or weight.constant is None or len(weight.shape or ()) < 2:
        return ""
    return name if weight.dtype == "float32" else ""


def _stored(path: Path, tensor: Any, name: str = "") -> Tensor:
    name, shape, dtype = name or tensor.name, tuple(tensor.dims), _dtype(tensor.data_type)
    if any(size < 0 for size in shape):
        raise BrokenFileError(f"the constant '{name[:100]}' has the shape {list(shape)}")
    array = partial(tensor_array, path, tensor)
    return Tensor(name, shape, dtype, array, name, stored=size_bytes(shape, dtype) or 0)


def _constant(path: Path, node: Any) -> Tensor | None:
    """What a ``Constant`` holds; ``None`` for any other node."""
    if node.op_type != "Constant" or node.domain not in STANDARD or not node.attribute:
        return None
    onnx, own = import_onnx(), node.attribute[0]
    if own.name == "value":
        return _stored(path, own.t, node.output[0])
    if own.name not in ("value_float", "value_floats", "value_int", "value_ints"):
        return None
    kind = np.float32 if "float" in own.name else np.int64
    values = np.asarray(onnx.helper.get_attribute_value(own), kind)
    return _stored(path, onnx.numpy_helper.from_array(values), node.output[0])


def _signature(values: Iterable[Any]) -> tuple[TensorSummary, ...]:
    return tuple(
        TensorSummary(value.name, _shape(value), _dtype(value.type.tensor_type.elem_type))
        for value in values
    )


def _shape(value: Any) -> Shape:
    sizes = value.type.tensor_type.shape.dim
    return tuple(int(s.dim_value) if is_fixed(s) else (s.dim_param or "?") for s in sizes)


@functools.cache
def _dtype(number: int) -> str:
    kinds = import_onnx().TensorProto.DataType
    name = str(kinds.Name(number)).lower() if number in kinds.values() else "unknown"
    return NAMES.get(name, name)


def _op(node: Any) -> str:
    # A name that is no UTF-8 is handed out as bytes.
    kind = str(node.op_type)
    return kind if node.domain in STANDARD else f"{node.domain}:{kind}"
