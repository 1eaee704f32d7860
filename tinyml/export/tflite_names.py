"""Names in the TFLite graph: a stage's tensor has the stage's name, in every format alike.

The converter names a computed tensor after the nodes that it comes from, last one
first: ``relu;;batch_norm;;conv2d;1`` holds relu's value, the other two are fused into it.
It moves convolutions to the channels-last layout, so a stage may be there transposed only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinyml.errors import ExportError
from tinyml.export.capture import Captured
from tinyml.export.flatbuffer import operator_name, text
from tinyml.export.names import free_name

Shape = tuple[int, ...]
SIGNATURE = "serving_default"

_MOVES = {"TRANSPOSE", "RESHAPE"}
_CHANNELS_LAST = {
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
}


@dataclass(frozen=True, slots=True)
class _Produced:
    """A computed tensor: its index, shape, operator and the operator's inputs."""

    index: int
    shape: Shape
    operator: str
    inputs: tuple[int, ...]


def name_stages(
    model: Any, captured: Captured
) -> tuple[dict[str, str | None], dict[str, tuple[int, ...]]]:
    """Rename all tensors of ``model``; returns stage -> tensor and stage -> permutation.

    ``None`` is a stage that was fused away, or whose layout cannot be told from its
    shape. A permutation is given where the tensor is channels-last: transposed by it,
    its value has PyTorch's layout.
    """
    graph = model.subgraphs[0]
    ends = _name_ends(model, captured)
    produced, fused = _by_node(model, graph)
    held: dict[str, tuple[int, tuple[int, ...]] | None] = {}
    for stage, node in captured.stages.items():
        if node in ends:
            held[stage] = (ends[node], ())
        else:
            usable = node is not None and node not in fused
            held[stage] = _find(produced.get(node or "", []), captured, node) if usable else None
    _rename(graph, held)
    names = {s: None if h is None else graph.tensors[h[0]].name for s, h in held.items()}
    return names, {s: h[1] for s, h in held.items() if h is not None and h[1]}


def _name_ends(model: Any, captured: Captured) -> dict[str | None, int]:
    """Give inputs and outputs the signature's names and order; returns node -> tensor."""
    signature, graph = model.signatureDefs[0], model.subgraphs[0]
    signature.signatureKey = SIGNATURE
    ends: dict[str | None, int] = {}
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


def _by_node(model: Any, graph: Any) -> tuple[dict[str, list[_Produced]], set[str]]:
    """Node -> the tensors that hold what it computes, in order; nodes fused into others."""
    found: dict[str, list[_Produced]] = {}
    fused: set[str] = set()
    for operator in graph.operators:
        name = operator_name(model.operatorCodes[operator.opcodeIndex])
        for index in operator.outputs:
            tensor = graph.tensors[index]
            nodes = [part.partition(";")[0] for part in text(tensor.name).split(";;")]
            shape = tuple(int(n) for n in tensor.shape) if tensor.shape is not None else ()
            inputs = tuple(int(i) for i in operator.inputs)
            found.setdefault(nodes[0], []).append(_Produced(int(index), shape, name, inputs))
            fused.update(nodes[1:])
    return found, fused


def _find(
    produced: list[_Produced], captured: Captured, node: str | None
) -> tuple[int, tuple[int, ...]] | None:
    """The last tensor made from ``node``, or the one that it only moves, in a known layout."""
    shape = captured.shapes[node or ""]
    while produced and shape is not None:
        last = produced[-1]
        layout = _layout(shape, last)
        if layout is not None:
            return last.index, layout
        if (
            last.operator not in _MOVES
            or produced[-2:-1] == []
            or (produced[-2].index not in last.inputs)
        ):
            return None
        produced = produced[:-1]
    return None


def _layout(shape: Shape, tensor: _Produced) -> tuple[int, ...] | None:
    """The permutation to PyTorch's layout, ``()`` if it is that, ``None`` if it is unknown."""
    rank = len(shape)
    to_last = (0, *range(2, rank), 1)
    last = tuple(shape[axis] for axis in to_last) if rank >= 3 else None
    if last == shape and sum(n > 1 for n in shape[1:]) > 1:
        known = tensor.operator in _CHANNELS_LAST
        return _inverse(to_last) if known else None
    if tensor.shape == shape:
        return ()
    return _inverse(to_last) if tensor.shape == last else None


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(axis) for axis in range(len(order)))


def _rename(graph: Any, held: Mapping[str, tuple[int, tuple[int, ...]] | None]) -> None:
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
