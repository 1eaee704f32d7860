"""A .tflite file that ends at a tensor inside: the front end without the network.

What the tensor does not depend on is left out, weights included. The rest is the
shipped file's own, so its time is that of the front end as shipped, up to what a
runtime would have fused across the cut.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyml.core.errors import InputError
from tinyml.modelfile.broken_file import reading, unknown_tensor
from tinyml.modelfile.tflite_file import indices, read_tflite, text, write_tflite


def cut_tflite(path: Path, tensor: str, out: Path) -> tuple[str, ...]:
    """Write ``out``, which computes ``tensor`` only; the names of the inputs it still takes."""
    with reading(path):
        return _cut(path, tensor, out)


def _cut(path: Path, tensor: str, out: Path) -> tuple[str, ...]:
    model = read_tflite(path)
    graph = model.subgraphs[0]
    target = _index(path, model, tensor)
    needed, operators = {target}, []
    for operator in reversed(graph.operators):
        if needed.intersection(indices(operator.outputs)):
            operators.append(operator)
            needed.update(i for i in indices(operator.inputs) if i >= 0)
            needed.update(indices(operator.outputs))
    if not operators:
        raise InputError(f"{path}: '{tensor}' is an input or a constant; nothing computes it")
    graph.operators = operators[::-1]
    graph.inputs = [index for index in indices(graph.inputs) if index in needed]
    graph.outputs = [target]
    names = _cut_signature(model, needed, target, tensor)
    _renumber(model, sorted(needed))
    _drop_unused(model)
    write_tflite(out, model)
    return names


def _index(path: Path, model: Any, tensor: str) -> int:
    graph = model.subgraphs[0]
    outputs = [] if not model.signatureDefs else model.signatureDefs[0].outputs
    named = [int(item.tensorIndex) for item in outputs if text(item.name) == tensor]
    found = named or [i for i, t in enumerate(graph.tensors) if text(t.name) == tensor]
    if not found:
        raise unknown_tensor(path, tensor, {text(t.name) for t in graph.tensors})
    if len(found) > 1:
        raise InputError(f"{path} has {len(found)} tensors called '{tensor}'")
    return found[0]


def _cut_signature(model: Any, needed: set[int], target: int, name: str) -> tuple[str, ...]:
    """Leave the signature the inputs needed and one output; the inputs' names."""
    graph = model.subgraphs[0]
    if not model.signatureDefs:
        return tuple(text(graph.tensors[index].name) for index in graph.inputs)
    (signature,) = model.signatureDefs[:1]
    signature.inputs = [item for item in signature.inputs if item.tensorIndex in needed]
    (output,) = signature.outputs[:1]
    output.name, output.tensorIndex = name, target
    signature.outputs = [output]
    model.signatureDefs = [signature]
    named = {int(item.tensorIndex): text(item.name) for item in signature.inputs}
    return tuple(named[index] for index in graph.inputs)


def _renumber(model: Any, kept: list[int]) -> None:
    """Drop the first subgraph's other tensors; every index into them moves."""
    graph = model.subgraphs[0]
    new = {old: place for place, old in enumerate(kept)} | {-1: -1}
    graph.tensors = [graph.tensors[index] for index in kept]
    graph.inputs = [new[index] for index in graph.inputs]
    graph.outputs = [new[index] for index in graph.outputs]
    for operator in graph.operators:
        operator.inputs = [new[index] for index in indices(operator.inputs)]
        operator.outputs = [new[index] for index in indices(operator.outputs)]
        operator.intermediates = []
    for signature in model.signatureDefs or ():
        for item in (*signature.inputs, *signature.outputs):
            item.tensorIndex = new[int(item.tensorIndex)]


def _drop_unused(model: Any) -> None:
    """Buffers that no tensor has, and metadata; the first buffer is the empty one by rule."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    kept = sorted({0} | {int(tensor.buffer) for tensor in tensors})
    new = {old: place for place, old in enumerate(kept)}
    model.buffers = [model.buffers[index] for index in kept]
    for tensor in tensors:
        tensor.buffer = new[int(tensor.buffer)]
    model.metadata, model.metadataBuffer = [], []
