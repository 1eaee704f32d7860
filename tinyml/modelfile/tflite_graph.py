"""A TFLite file as a `Graph`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.spec import Array
from tinyml.modelfile.broken_file import BrokenFileError, reading
from tinyml.modelfile.contents import FileContents, SignatureContents, TensorSummary
from tinyml.modelfile.graph import BITS, Graph, Operator, Tensor
from tinyml.modelfile.ops import WEIGHTED
from tinyml.modelfile.sparse_storage import dense, index_bytes
from tinyml.modelfile.tflite_file import (
    dtype_of,
    foreign,
    indices,
    operator_name,
    read_tflite,
    text,
)

# Types that numpy has no view for: such constants stay the bytes that they are.
PACKED = (*BITS, "string", "resource", "variant")
# What the options of an operator call the graph that it runs.
SUBGRAPH = ("subgraph", "subgraphindex")


def tflite_contents(path: Path) -> FileContents:
    """Everything in ``path``."""
    model = read_tflite(path)
    with reading(path):
        graphs = tuple(_graph(model, number, path) for number in range(len(model.subgraphs)))
        names = [operator_name(code) for code in model.operatorCodes or ()]
        versions: dict[str, int] = {}
        for name, code in zip(names, model.operatorCodes or (), strict=True):
            versions[name] = max(versions.get(name, 0), int(code.version))
        inputs, outputs = _ends(model, next(iter(model.signatureDefs or ()), None))
        return FileContents(
            format="tflite",
            graphs=graphs,
            inputs=inputs,
            outputs=outputs,
            ops=tuple(operator.op for graph in graphs for operator in graph.operators),
            versions=dict(sorted(versions.items())),
            custom=foreign(names),
            signatures=_signatures(model, graphs),
        )


def read_tflite_graph(path: Path) -> Graph:
    """The main graph of ``path``."""
    with reading(path):
        model = read_tflite(path)
        return graph_of_tflite(model, path)


def graph_of_tflite(model: Any, path: Path = Path()) -> Graph:
    """The main graph of a ``schema.ModelT``; ``path``: where it was read from."""
    return _graph(model, 0, path)


def _graph(model: Any, number: int, path: Path) -> Graph:
    graph = model.subgraphs[number]
    keys = _keys([text(tensor.name) for tensor in graph.tensors or ()])
    computed = {keys[i] for i in indices(graph.inputs)}
    computed |= {keys[i] for own in graph.operators or () for i in indices(own.outputs)}
    tensors = {
        key: _tensor(model, tensor, path)
        for key, tensor in zip(keys, graph.tensors or (), strict=True)
    }
    operators = []
    for own in graph.operators or ():
        op = operator_name(model.operatorCodes[own.opcodeIndex])
        operands = tuple(keys[i] for i in indices(own.inputs) if i >= 0)
        outputs = tuple(keys[i] for i in indices(own.outputs))
        operators.append(
            Operator(
                name=outputs[0] if outputs else "",
                op=op,
                inputs=tuple(key for key in operands if key in computed),
                outputs=outputs,
                weight=_weight(op, operands, tensors),
                operands=operands,
                attributes=vars(own.builtinOptions) if own.builtinOptions else {},
                label=tensors[outputs[0]].name if outputs else "",
            )
        )
    return Graph(
        operators=tuple(operators),
        outputs=tuple(keys[i] for i in indices(graph.outputs)),
        inputs=tuple(keys[i] for i in indices(graph.inputs)),
        tensors=tensors,
        format="tflite",
        file_bytes=path.stat().st_size if path.is_file() else 0,
    )


def _keys(names: Sequence[str]) -> list[str]:
    """Each tensor's name; with its place where others have the same."""
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name};{i}" for i, name in enumerate(names)]


def _weight(op: str, operands: Sequence[str], tensors: Mapping[str, Tensor]) -> str:
    traits = WEIGHTED.get(op)
    if traits is None or not traits.in_int8 or len(operands) <= traits.weight:
        return ""
    weight = tensors[operands[traits.weight]]
    is_plain = weight.constant is not None and not weight.sparse
    return operands[traits.weight] if is_plain and weight.dtype == "float32" else ""


def _tensor(model: Any, tensor: Any, path: Path) -> Tensor:
    data, dtype = model.buffers[tensor.buffer].data, dtype_of(tensor)
    shape = tuple(indices(tensor.shape))
    scale = tensor.quantization.scale if tensor.quantization else None
    held = 0 if data is None else len(data)
    is_stored = tensor.sparsity is not None or held > 0
    if is_stored and any(size < 0 for size in shape):
        raise BrokenFileError(
            f"the constant '{text(tensor.name)[:100]}' has the shape {list(shape)}"
        )

    def array() -> Array:
        plain = dtype not in PACKED
        with reading(path):
            raw = np.frombuffer(bytes(data), np.dtype(dtype) if plain else np.uint8)
            return raw.reshape(shape) if plain else raw

    sparse = partial(dense, path, model, tensor) if tensor.sparsity is not None else None
    return Tensor(
        name=text(tensor.name),
        shape=shape,
        dtype=dtype,
        constant=(sparse or array) if is_stored else None,
        key=str(int(tensor.buffer)) if is_stored else "",
        sparse=tensor.sparsity is not None,
        stored=held + index_bytes(tensor) if is_stored else 0,
        scaled=scale is not None and len(scale) > 0,
        fixed=all(size >= 0 for size in indices(tensor.shapeSignature)[1:]),
    )


def _signatures(model: Any, graphs: Sequence[Graph]) -> tuple[SignatureContents, ...]:
    """Every signature with the graphs that it runs: its own, and what that calls."""
    return tuple(
        SignatureContents(
            name=text(own.signatureKey),
            inputs=(ends := _ends(model, own))[0],
            outputs=ends[1],
            graphs=tuple(graphs[i] for i in sorted(_called(graphs, int(own.subgraphIndex)))),
        )
        for own in model.signatureDefs or ()
    )


def _called(graphs: Sequence[Graph], first: int) -> set[int]:
    """``first``, and the branches, loops and functions that it leads to."""
    found, left = set(), [first]
    while left:
        number = left.pop()
        if number in found or not 0 <= number < len(graphs):
            continue
        found.add(number)
        for own in graphs[number].operators:
            named = own.attributes.items()
            left += [int(i) for name, i in named if name.lower().endswith(SUBGRAPH)]
    return found


def _ends(
    model: Any, signature: Any
) -> tuple[tuple[TensorSummary, ...], tuple[TensorSummary, ...]]:
    """(inputs, outputs), by the names of ``signature``; without one, of the main graph."""
    graph, names = model.subgraphs[0], {}
    if signature is not None:
        graph = model.subgraphs[signature.subgraphIndex]
        for item in (*(signature.inputs or ()), *(signature.outputs or ())):
            names[int(item.tensorIndex)] = text(item.name)

    def named(index: int) -> TensorSummary:
        tensor = graph.tensors[index]
        declared = indices(tensor.shapeSignature) or indices(tensor.shape)
        shape = tuple("?" if size < 0 else size for size in declared)
        return TensorSummary(names.get(index, text(tensor.name)), shape, dtype_of(tensor))

    return tuple(map(named, indices(graph.inputs))), tuple(map(named, indices(graph.outputs)))
