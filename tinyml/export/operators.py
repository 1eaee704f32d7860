"""A model file as a list of operators over named tensors, the same for both formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyml.modelfile import tflite_file

# What TFLite's operators have built in, in the words of ONNX.
ACTIVATIONS = ("Relu", "Clip")
# What multiplies by a stored weight, its second operand.
ONNX_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
TFLITE_WEIGHTED = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"),
    *("BATCH_MATMUL", "EMBEDDING_LOOKUP"),
)
WEIGHT = 1


@dataclass(frozen=True, slots=True)
class FileOperator:
    """One operator, called after its first output; constants are not among ``inputs``.

    ``weight``: the stored float32 matrix or kernel that it multiplies by; empty without one.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weight: str = ""


@dataclass(frozen=True, slots=True)
class FileGraph:
    """Operators in the order run, and the names of what the graph gives out and takes."""

    operators: tuple[FileOperator, ...]
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] = ()


def of_tflite(model: Any) -> FileGraph:
    """Of a ``schema.ModelT``."""
    (graph,) = model.subgraphs
    names = [tflite_file.text(tensor.name) for tensor in graph.tensors]
    computed = {int(i) for i in graph.inputs}
    computed |= {int(i) for operator in graph.operators for i in operator.outputs}
    operators = [
        _operator(
            tflite_file.operator_name(model.operatorCodes[operator.opcodeIndex]),
            [names[i] for i in map(int, operator.inputs) if i in computed],
            [names[int(i)] for i in operator.outputs],
            _tflite_weight(model, operator),
        )
        for operator in graph.operators
    ]
    ends = ((names[int(i)] for i in own) for own in (graph.outputs, graph.inputs))
    return FileGraph(tuple(operators), *map(tuple, ends))


def of_onnx(model: Any) -> FileGraph:
    """Of an ``onnx.ModelProto``."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    constants = {*stored, ""}
    operators = [
        _operator(
            node.op_type,
            [i for i in node.input if i not in constants],
            list(node.output),
            onnx_weight(node, stored),
        )
        for node in model.graph.node
    ]
    ends = ((value.name for value in own) for own in (model.graph.output, model.graph.input))
    return FileGraph(tuple(operators), *map(tuple, ends))


def _operator(op: str, inputs: Sequence[str], outputs: Sequence[str], weight: str) -> FileOperator:
    return FileOperator(outputs[0], op, tuple(inputs), tuple(outputs), weight)


def onnx_weight(node: Any, stored: Mapping[str, Any]) -> str:
    """The float32 initializer among ``stored`` that ``node`` multiplies by, or nothing."""
    import onnx

    name = node.input[WEIGHT] if len(node.input) > WEIGHT else ""
    tensor = stored.get(name) if node.op_type in ONNX_WEIGHTED else None
    if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
        return ""
    return str(name)


def _tflite_weight(model: Any, operator: Any) -> str:
    """As `onnx_weight`."""
    from ai_edge_litert import schema_py_generated as schema

    op = tflite_file.operator_name(model.operatorCodes[operator.opcodeIndex])
    if op not in TFLITE_WEIGHTED:
        return ""
    tensor = model.subgraphs[0].tensors[int(operator.inputs[WEIGHT])]
    data = model.buffers[tensor.buffer].data
    is_stored = data is not None and len(data) > 0
    is_float = int(tensor.type) == schema.TensorType.FLOAT32
    return tflite_file.text(tensor.name) if is_stored and is_float else ""


def activations(graph: FileGraph) -> dict[str, str]:
    """Activation -> the operator in front, where that has no other reader.

    Runtimes compute both as one, and so does TFLite's own file: neither of them alone is in
    integers, since what lies between has the range from before it was cut.
    """
    readers = Counter(name for operator in graph.operators for name in operator.inputs)
    readers.update(graph.outputs)
    makers = {out: operator.name for operator in graph.operators for out in operator.outputs}
    return {
        operator.name: makers[operator.inputs[0]]
        for operator in graph.operators
        if operator.op in ACTIVATIONS
        and operator.inputs[0] in makers
        and readers[operator.inputs[0]] == 1
    }


def feeding(operators: Iterable[FileOperator], tensor: str | None) -> set[str]:
    """Names of the operators that ``tensor`` depends on, its own included."""
    makers = {out: operator for operator in operators for out in operator.outputs}
    found: set[str] = set()
    left = [tensor] if tensor in makers else []
    while left:
        operator = makers[str(left.pop())]
        if operator.name not in found:
            found.add(operator.name)
            left += [name for name in operator.inputs if name in makers]
    return found
