"""A model file as a list of operators over named tensors, the same for both formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tinyml.export import flatbuffer

# What TFLite's operators have built in, in the words of ONNX.
ACTIVATIONS = ("Relu", "Clip")


@dataclass(frozen=True, slots=True)
class FileOperator:
    """One operator, called after its first output; constants are not among ``inputs``."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileGraph:
    """Operators in the order run, and the names of what the graph gives out and takes."""

    operators: tuple[FileOperator, ...]
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] = ()


def of_tflite(model: Any) -> FileGraph:
    """Of a ``schema.ModelT``."""
    (graph,) = model.subgraphs
    names = [flatbuffer.text(tensor.name) for tensor in graph.tensors]
    computed = {int(i) for i in graph.inputs}
    computed |= {int(i) for operator in graph.operators for i in operator.outputs}
    operators = [
        _operator(
            flatbuffer.operator_name(model.operatorCodes[operator.opcodeIndex]),
            [names[i] for i in map(int, operator.inputs) if i in computed],
            [names[int(i)] for i in operator.outputs],
        )
        for operator in graph.operators
    ]
    ends = ((names[int(i)] for i in own) for own in (graph.outputs, graph.inputs))
    return FileGraph(tuple(operators), *map(tuple, ends))


def of_onnx(model: Any) -> FileGraph:
    """Of an ``onnx.ModelProto``."""
    constants = {tensor.name for tensor in model.graph.initializer} | {""}
    operators = [
        _operator(node.op_type, [i for i in node.input if i not in constants], list(node.output))
        for node in model.graph.node
    ]
    ends = ((value.name for value in own) for own in (model.graph.output, model.graph.input))
    return FileGraph(tuple(operators), *map(tuple, ends))


def _operator(op: str, inputs: Sequence[str], outputs: Sequence[str]) -> FileOperator:
    return FileOperator(outputs[0], op, tuple(inputs), tuple(outputs))


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
