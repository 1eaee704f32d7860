"""Names in the TFLite graph: a stage's tensor has the stage's name, in every format alike.

The converter names a computed tensor after the nodes that had a part in it:
``relu;;batch_norm;;conv2d;1`` holds the value of the one that is computed last, relu. So
the last tensor of a node holds the node's value, except where that was fused into another:

- the operand of an activation that is computed by the same operator as what it follows;
- a convolution or matrix product none of whose tensors comes from such an operator:
  those that carry its name are its operand, padded or transposed;
- a normalisation whose scale and shift, a product whose bias, or a variance whose divisor went
  into the constants of what follows: its last operator has no constant for it.

Convolutions are moved to the channels-last layout: a stage may be there transposed only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from tinyml.core.errors import ExportError
from tinyml.export.capture.program import Captured
from tinyml.export.formats.free_name import free_name
from tinyml.export.formats.tflite.layouts import MOVES, Produced, Shape, layout
from tinyml.modelfile.tflite_file import operator_name, text

_Holder = tuple[int, Shape]
SIGNATURE = "serving_default"

_PRODUCTS = {
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "CONV_3D",
    "TRANSPOSE_CONV",
    "FULLY_CONNECTED",
    "BATCH_MATMUL",
}
_PRODUCT_NODES = ("aten.conv", "aten.linear", "aten.matmul", "aten.mm", "aten.bmm", "aten.addmm")
_MOVING_NODES = (
    "aten.view",
    "aten.reshape",
    "aten.flatten",
    "aten.squeeze",
    "aten.unsqueeze",
    "aten.permute",
    "aten.transpose",
)
# Operator -> the place of its bias among its arguments.
_BIASES = {"aten.conv": 2, "aten.linear": 2, "aten.bilinear": 3, "aten.addmm": 0, "aten.baddbmm": 0}
_CHANNEL_NORM_NODES = ("aten.instance_norm", "aten.batch_norm")
_NORM_NODES = ("aten.layer_norm", "aten.group_norm", *_CHANNEL_NORM_NODES)
_ACTIVATION_NODES = ("aten.relu", "aten.relu6", "aten.hardtanh", "aten.clamp", "aten.tanh")


@dataclass(frozen=True, slots=True)
class _Found:
    """Shapes of the captured nodes, the tensors made from each, and inputs and outputs."""

    shapes: Mapping[str, Shape | None]
    produced: Mapping[str, list[Produced]]
    ends: Mapping[str, int]
    tensors: Mapping[int, Produced]


def name_stages(
    model: Any, captured: Captured
) -> tuple[dict[str, str | None], dict[str, tuple[int, ...]]]:
    """Rename all tensors of ``model``; returns stage -> tensor and stage -> permutation.

    ``None`` is a stage that was fused away, or whose layout cannot be told from its
    shape. A permutation is given where the tensor is channels-last: transposed by it,
    its value has PyTorch's layout.
    """
    graph = model.subgraphs[0]
    produced = _by_node(model, captured)  # first: an output may be called like another node
    ends = _name_ends(model, captured)
    tensors = {one.index: one for made in produced.values() for one in made}
    found = _Found(captured.shapes, produced, ends, tensors)
    fused = _activated_operands(captured, found.produced)
    nodes = {node.name: node for node in captured.program.graph.nodes}
    held: dict[str, _Holder | None] = {
        stage: None if name is None or name in fused else _holder(nodes[name], found)
        for stage, name in captured.stages.items()
    }
    _rename(graph, held)
    names = {s: None if h is None else graph.tensors[h[0]].name for s, h in held.items()}
    return names, {s: h[1] for s, h in held.items() if h is not None and h[1]}


def parts_of_tensors(model: Any) -> dict[int, set[str]]:
    """Computed tensor -> the captured nodes that had a part in it; read before renaming."""
    graph = model.subgraphs[0]
    computed = (int(index) for operator in graph.operators for index in operator.outputs)
    return {index: set(_parts(text(graph.tensors[index].name))) for index in computed}


def computing_parts(captured: Captured, parts: Mapping[int, set[str]]) -> dict[int, set[str]]:
    """Computed tensor -> the node that its operator is for, of those that have a ``part`` in it.

    From the node that is computed last back to its convolution or product, or as far as
    operands have a part too. What is left has a part through a constant alone: every ReLU
    shares its zero with the first one, and the converter names them all after it.
    """
    nodes = {node.name: (place, node) for place, node in enumerate(captured.program.graph.nodes)}

    def latest(names: Iterable[str]) -> Node:
        last: Node = max((nodes[name] for name in names), key=lambda found: found[0])[1]
        return last

    found = {}
    for index, names in parts.items():
        known = names & nodes.keys()
        node = latest(known) if known else None
        while node is not None:
            found[index] = {node.name}
            behind = {operand.name for operand in node.all_input_nodes} & known
            node = latest(behind) if behind and not _is(node, _PRODUCT_NODES) else None
    return found


def made_from(model: Any, parts: Mapping[int, set[str]]) -> dict[str, list[str]]:
    """Captured node -> the names that the tensors with a part of it have now."""
    found: dict[str, list[str]] = {}
    for index, nodes in parts.items():
        for node in nodes:
            found.setdefault(node, []).append(text(model.subgraphs[0].tensors[index].name))
    return found


def _parts(name: str) -> list[str]:
    return [part.partition(";")[0] for part in name.split(";;")]


def _name_ends(model: Any, captured: Captured) -> dict[str, int]:
    """Give inputs and outputs the signature's names and order; returns node -> tensor."""
    signature, graph = model.signatureDefs[0], model.subgraphs[0]
    signature.signatureKey = SIGNATURE
    ends: dict[str, int] = {}
    for kind, specs in (
        ("inputs", captured.signature.inputs),
        ("outputs", captured.signature.outputs),
    ):
        maps = {text(entry.name): entry for entry in getattr(signature, kind)}
        missing = [spec.name for spec in specs if spec.name not in maps]
        if missing:
            raise ExportError(f"the converter lost the model's {kind[:-1]} '{missing[0]}'")
        setattr(signature, kind, [maps[spec.name] for spec in specs])
        setattr(graph, kind, [maps[spec.name].tensorIndex for spec in specs])
        for spec in specs:
            node = spec.name if kind == "inputs" else captured.outputs[spec.name]
            index = maps[spec.name].tensorIndex
            graph.tensors[index].name = spec.name
            ends[node] = index
    return ends


def _by_node(model: Any, captured: Captured) -> dict[str, list[Produced]]:
    """Node -> the tensors whose value is computed last by it, in order."""
    graph = model.subgraphs[0]
    place = {node.name: i for i, node in enumerate(captured.program.graph.nodes)}
    computed = {int(i) for operator in graph.operators for i in operator.outputs}
    computed |= {int(i) for i in graph.inputs}
    found: dict[str, list[Produced]] = {}
    for operator in graph.operators:
        for index in operator.outputs:
            parts = _parts(text(graph.tensors[index].name))
            name = max(parts, key=lambda part: place.get(part, -1))
            made = _produced(model, operator, int(index), computed)
            found.setdefault(name, []).append(made)
    return found


def _produced(model: Any, operator: Any, index: int, computed: set[int]) -> Produced:
    name = operator_name(model.operatorCodes[operator.opcodeIndex])
    inputs = [int(i) for i in operator.inputs if i >= 0]
    return Produced(
        index=index,
        shape=_shape(model, index),
        operator=name,
        computed=tuple(i for i in inputs if i in computed),
        constants=tuple(i for i in inputs if i not in computed),
        activated=bool(getattr(operator.builtinOptions, "fusedActivationFunction", 0)),
        order=_integers(model, inputs[1]) if name == "TRANSPOSE" else (),
    )


def _shape(model: Any, index: int) -> Shape:
    shape = model.subgraphs[0].tensors[index].shape
    return () if shape is None else tuple(int(n) for n in shape)


def _integers(model: Any, index: int) -> Shape:
    """A constant of 32-bit integers."""
    data = model.buffers[model.subgraphs[0].tensors[index].buffer].data
    return () if data is None else tuple(np.frombuffer(bytes(data), "<i4").tolist())


def _activated_operands(captured: Captured, produced: Mapping[str, list[Produced]]) -> set[str]:
    """Nodes whose activation is computed by the operator that computes them."""
    found = set()
    for node in captured.program.graph.nodes:
        computed = [p for p in produced.get(node.name, []) if p.operator not in MOVES]
        if _is(node, _ACTIVATION_NODES) and computed and computed[-1].activated:
            found.add(node.args[0].name)
    return found


def _holder(node: Node, found: _Found) -> _Holder | None:
    """The tensor with ``node``'s value, and the permutation to PyTorch's layout."""
    if node.name in found.ends:
        return found.ends[node.name], ()
    own = _last(node, found)
    if own is None and node.target is torch.ops.aten.permute.default:
        return _permuted(node, found)
    return own


def _permuted(node: Node, found: _Found) -> _Holder | None:
    """A permutation that costs nothing in the other layout has its operand's tensor."""
    operand, order = node.args
    held = _holder(operand, found) if isinstance(operand, Node) else None
    if held is None or not isinstance(order, list):
        return None
    axes = held[1] or tuple(range(len(order)))
    combined = tuple(axes[int(axis)] for axis in order)
    return held[0], () if combined == tuple(range(len(order))) else combined


def _last(node: Node, found: _Found) -> _Holder | None:
    """The last tensor made from ``node``, or the one that it only moves."""
    shape, produced = found.shapes[node.name], found.produced.get(node.name, [])
    operators = {tensor.operator for tensor in produced}
    if shape is None or (_is(node, _PRODUCT_NODES) and not operators & _PRODUCTS):
        return None
    if operators <= MOVES and not _is(node, _MOVING_NODES):
        return None
    if not _is_whole(node, produced):
        return None
    for position in reversed(range(len(produced))):
        later = produced[position]
        order = layout(shape, later, found.tensors)
        if order is not None:
            return later.index, order
        moved = later.operator in MOVES and position > 0
        if not moved or produced[position - 1].index not in later.computed:
            return None
    return None


def _is(node: Node, names: tuple[str, ...]) -> bool:
    return str(node.target).startswith(names)


def _is_whole(node: Node, produced: list[Produced]) -> bool:
    """Whether scale, shift or bias of ``node`` did not go into what follows."""
    last = next((p for p in reversed(produced) if p.operator not in MOVES), None)
    if last is None:
        return True
    shifted = last.operator == "ADD" and bool(last.constants)
    bias = next((place for name, place in _BIASES.items() if _is(node, (name,))), None)
    if bias is not None and _has(node, bias):
        return shifted or (last.operator in _PRODUCTS and len(last.constants) > 1)
    if _is(node, ("aten.var",)):
        return last.operator in ("MUL", "DIV") and bool(last.constants)
    if not _is(node, _NORM_NODES):
        return True
    weight = 1 if _is(node, _CHANNEL_NORM_NODES) else 2
    if _has(node, weight + 1) or _is(node, ("aten.batch_norm",)):
        return shifted
    return not _has(node, weight) or (last.operator == "MUL" and bool(last.constants))


def _has(node: Node, index: int) -> bool:
    return len(node.args) > index and node.args[index] is not None


def _rename(graph: Any, held: Mapping[str, _Holder | None]) -> None:
    """Stages' names; constants ``c0`` ..., other computed tensors ``t0`` ..."""
    fixed = {int(i) for i in (*graph.inputs, *graph.outputs)}
    taken = {text(graph.tensors[i].name) for i in fixed}
    for stage, holder in held.items():
        if holder is not None and holder[0] not in fixed:
            graph.tensors[holder[0]].name = free_name(stage, taken)
            fixed.add(holder[0])
    computed = {int(i) for operator in graph.operators for i in operator.outputs}
    counts = {"c": 0, "t": 0}
    for index, tensor in enumerate(graph.tensors):
        if index not in fixed:
            kind = "t" if index in computed else "c"
            tensor.name = free_name(f"{kind}{counts[kind]}", taken)
            counts[kind] += 1
