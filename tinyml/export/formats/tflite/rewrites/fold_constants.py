"""``f(constants)`` -> a constant: what LiteRT's converter leaves to be computed at each call.

Its own forms of reflect padding, of resizing and of grid sampling compute their indices, and a
network computes tables of positions, grids or weights from its parameters. LiteRT itself computes
the results here, without its delegate, so they are what every call would have computed.

What is folded adds at most `MOST_ADDED` bytes to the file: results minus the constants that go
with what read them. Beyond that the largest results stay computed. Refused for random numbers, for
variables, for branches, for what only unpacks stored weights, and for outputs of the graph.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from tinyml.core.spec import Array
from tinyml.export.formats.tflite.rewrites.drop_unused import drop_unused
from tinyml.export.outcome import Outcome
from tinyml.modelfile import tflite_file
from tinyml.modelfile.tflite_edit import add_buffer, name_of
from tinyml.modelfile.tflite_file import indices

FIRES_IN = "computed constant"
# As many float32 values as onnxscript's folder allows in one result.
MOST_ADDED = 1 << 20
_RANDOM = ("RANDOM_", "MULTINOMIAL")
_STATEFUL = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "HASHTABLE", "CALL")
_BRANCHES = ("IF", "WHILE", "STABLEHLO_")
# Stored smaller than computed: folded, the file would lose its compression.
_UNPACKS = ("DENSIFY", "DEQUANTIZE")
_OTHERS = ("CUSTOM", "Flex", "UNKNOWN")
NOT_FOLDED = (*_RANDOM, *_STATEFUL, *_BRANCHES, *_UNPACKS, *_OTHERS)


def fold_constants(model: Any, most_added: int = MOST_ADDED) -> Outcome:
    """Return the number of operators that went; the file grows by ``most_added`` bytes at most."""
    if len(model.subgraphs) != 1:
        return Outcome(0, {"": "the file has several subgraphs"})
    (graph,) = model.subgraphs
    folded, refused = _chosen(model, most_added)
    results = _results(graph, folded)
    for index, value in zip(results, _computed(model, folded, results), strict=True):
        graph.tensors[index].buffer = add_buffer(model, value)
    gone = set(map(id, folded))
    graph.operators = [own for own in graph.operators if id(own) not in gone]
    return Outcome(len(folded), refused)


def _chosen(model: Any, most_added: int) -> tuple[list[Any], dict[str, str]]:
    """Operators whose results the file has room for, and why others stay."""
    (graph,) = model.subgraphs
    stay = set(indices(graph.outputs))
    refused: dict[str, str] = {}
    operators = _constant_operators(model, stay)
    while _added(model, operators) > most_added:
        largest = max(_results(graph, operators), key=lambda i: _bytes_of(graph.tensors[i]) or 0)
        name = tflite_file.text(graph.tensors[largest].name)
        refused[name] = f"the file would grow by more than {most_added:,} bytes"
        stay.add(largest)
        operators = _constant_operators(model, stay)
    return operators, refused


def _constant_operators(model: Any, stay: Collection[int]) -> list[Any]:
    """Operators that compute the same at each call, in order; none that makes one of ``stay``."""
    (graph,) = model.subgraphs
    stored = (model.buffers[tensor.buffer].data is not None for tensor in graph.tensors)
    known = {-1} | {index for index, is_stored in enumerate(stored) if is_stored}
    found = []
    for own in graph.operators:
        made = indices(own.outputs)
        if (
            known.issuperset(indices(own.inputs))
            and not any(index in stay for index in made)
            and not name_of(model, own).startswith(NOT_FOLDED)
            and all(_bytes_of(graph.tensors[index]) is not None for index in made)
        ):
            known.update(made)
            found.append(own)
    return found


def _results(graph: Any, operators: list[Any]) -> list[int]:
    """What ``operators`` compute for others, in order."""
    own = set(map(id, operators))
    read = {i for other in graph.operators if id(other) not in own for i in indices(other.inputs)}
    return [index for operator in operators for index in indices(operator.outputs) if index in read]


def _added(model: Any, operators: list[Any]) -> int:
    """By how many bytes the file grows when ``operators`` are folded."""
    (graph,) = model.subgraphs
    own = set(map(id, operators))
    others = (other for other in graph.operators if id(other) not in own)
    left = _buffers(graph, operators) - _buffers(graph, others) - {0}
    results = sum(_bytes_of(graph.tensors[index]) or 0 for index in _results(graph, operators))
    return results - sum(
        len(data) for buffer in left if (data := model.buffers[buffer].data) is not None
    )


def _buffers(graph: Any, operators: Iterable[Any]) -> set[int]:
    read = (index for operator in operators for index in indices(operator.inputs) if index >= 0)
    return {int(graph.tensors[index].buffer) for index in read}


def _bytes_of(tensor: Any) -> int | None:
    """Of its values; ``None`` where its size or its type is not fixed."""
    signature = tensor.shapeSignature
    if tensor.isVariable or (signature is not None and any(size < 0 for size in signature)):
        return None
    try:
        item = np.dtype(tflite_file.dtype_of(tensor)).itemsize
    except TypeError:  # strings, resources, values of four bits
        return None
    shape = () if tensor.shape is None else tuple(tensor.shape)
    return item * int(np.prod(shape, dtype=np.int64))


def _computed(model: Any, operators: list[Any], results: list[int]) -> list[Array]:
    """Values of the tensors ``results``, by LiteRT."""
    if not results:
        return []
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    engine = Interpreter(
        model_content=tflite_file.pack(_part(model, operators, results)),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    engine.allocate_tensors()
    engine.invoke()
    return [np.asarray(engine.get_tensor(own["index"])) for own in engine.get_output_details()]


def _part(model: Any, operators: list[Any], results: list[int]) -> Any:
    """A model without inputs, of ``operators`` and what they read; ``model`` stays as it is."""
    from ai_edge_litert import schema_py_generated as schema

    part, graph = schema.ModelT(), schema.SubGraphT()
    part.version, part.operatorCodes = model.version, list(model.operatorCodes)
    part.subgraphs = [graph]
    graph.tensors, graph.operators = model.subgraphs[0].tensors, copy.deepcopy(operators)
    graph.inputs, graph.outputs = np.array([], np.int32), np.array(results, np.int32)
    drop_unused(part)
    read = {int(tensor.buffer) for tensor in graph.tensors}
    empty = schema.BufferT()
    part.buffers = [own if at in read else empty for at, own in enumerate(model.buffers)]
    return part
