"""An .onnx file that ends at a tensor inside: the front end without the network.

What the tensor does not depend on is left out, weights included. The rest is the
shipped file's own, so its time is that of the front end as shipped, up to what a
runtime would have fused across the cut.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from tinyml.core.errors import InputError
from tinyml.core.files import write_bytes
from tinyml.modelfile.broken_file import reading, unknown_tensor
from tinyml.modelfile.infer_shapes import inferred
from tinyml.modelfile.onnx_file import read_onnx, refuse_outside_data


def cut_onnx(path: Path, tensor: str, out: Path) -> tuple[str, ...]:
    """Write ``out``, which computes ``tensor`` only; the names of the inputs it still takes."""
    with reading(path):
        return _cut(path, tensor, out)


def _cut(path: Path, tensor: str, out: Path) -> tuple[str, ...]:
    model = read_onnx(path)
    refuse_outside_data(path, model)
    graph = model.graph
    nodes, needed = _ancestors(path, graph, tensor)
    shaped = inferred(path).graph
    values = {value.name: value for value in (*shaped.value_info, *shaped.output)}
    if tensor not in values:
        raise InputError(f"{path}: the shape of '{tensor}' is not known, so it cannot end there")
    _keep(graph.node, nodes)
    _keep(graph.initializer, [w for w in graph.initializer if w.name in needed])
    _keep(graph.input, [value for value in graph.input if value.name in needed])
    _keep(graph.value_info, [value for value in graph.value_info if value.name in needed])
    _keep(graph.output, [values[tensor]])
    write_bytes(out, model.SerializeToString())
    weights = {weight.name for weight in graph.initializer}
    return tuple(value.name for value in graph.input if value.name not in weights)


def _ancestors(path: Path, graph: Any, tensor: str) -> tuple[list[Any], set[str]]:
    """The nodes that ``tensor`` needs, in order, and the names of all they touch."""
    made = {name for node in graph.node for name in node.output if name}
    if tensor not in made:
        raise unknown_tensor(path, tensor, made)
    needed, nodes = {tensor}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(_uses(node))
    return nodes[::-1], needed


def _uses(node: Any) -> set[str]:
    """Names that ``node`` reads, those that its branches take from outside included."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for inner in [attribute.g] if attribute.HasField("g") else list(attribute.graphs):
            for inner_node in inner.node:
                names |= _uses(inner_node)
            names |= {value.name for value in inner.output}
    return names


def _keep(field: Any, kept: Collection[Any]) -> None:
    copies = [type(item).FromString(item.SerializeToString()) for item in kept]
    del field[:]
    field.extend(copies)
