"""Which operand of a concatenation each value of a stage or output comes from.

Labels take the way of the values through the captured graph: ``cat`` and ``stack`` number
their operands, what moves data moves the labels, what computes each value from one keeps
them, anything else (a convolution, a matrix product) ends them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from tinyml.core.parts import OUTPUT, STAGE, Joined, Key
from tinyml.export.capture.program import Captured

JOINS = ("cat", "concat", "stack", "hstack", "vstack", "dstack", "column_stack")
MOVERS = (
    *("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze"),
    *("permute", "transpose", "movedim", "t", "flip", "roll", "contiguous", "clone", "alias"),
    *("detach", "slice", "select", "narrow", "expand", "split", "split_with_sizes", "chunk"),
    *("unbind", "detach_", "lift_fresh_copy", "repeat"),
)
# Of each channel's own values, though not marked as such.
BY_CHANNEL = (
    *("batch_norm", "_native_batch_norm_legit_no_training", "dropout", "hardswish"),
    *("to", "_to_copy"),
)
Labels = Any  # a Tensor of integers, or a tuple of them where an operator returns several


def joined(captured: Captured) -> dict[Key, tuple[Joined, ...]]:
    """Stage or output -> its parts along each axis, for those that join several."""
    labels: dict[str, Labels] = {}
    for node in captured.program.graph.nodes:
        if node.op == "call_function" and (found := _labels(node, labels)) is not None:
            labels[node.name] = found
    nodes: dict[Key, str | None] = {(STAGE, name): n for name, n in captured.stages.items()}
    nodes |= {(OUTPUT, name): node for name, node in captured.outputs.items()}
    parts = {key: _along_axes(labels[node]) for key, node in nodes.items() if node in labels}
    return {key: own for key, own in parts.items() if own}


def _labels(node: Node, labels: Mapping[str, Labels]) -> Labels | None:
    """The labels of what ``node`` gives; ``None``: it is of one part."""
    name = _name(node.target)
    if name in JOINS:
        return _join(node, labels)
    known = [own for own in node.all_input_nodes if own.name in labels]
    if not known:
        return None
    if name in MOVERS or node.target is operator.getitem:
        if len(known) < len(node.all_input_nodes):
            return None  # it moves by a number that is computed
        function: Callable[..., Labels] = node.target  # type: ignore[assignment]
        moved = torch.fx.node.map_arg(node.args, lambda own: labels[own.name])
        return _of_shape(function(*moved, **_keywords(node)), node)
    if torch.Tag.pointwise not in getattr(node.target, "tags", ()) and name not in BY_CHANNEL:
        return None
    shape = _shape(node)
    return next((labels[own.name] for own in known if _shape(own) == shape), None)


def _of_shape(labels: Labels, node: Node) -> Labels | None:
    """``labels``; ``None`` where they are not one for each value, as after a view of bytes."""
    fits = not isinstance(labels, Tensor) or tuple(labels.shape) == _shape(node)
    return labels if fits else None


def _join(node: Node, labels: Mapping[str, Labels]) -> Tensor | None:
    """The operands numbered in order; those that are joined themselves keep their parts."""
    numbered, count = [], 0
    for own in node.args[0]:  # type: ignore[union-attr]
        inner = labels.get(own.name)  # type: ignore[union-attr, arg-type]
        if inner is None:
            inner = torch.zeros(_shape(own) or (), dtype=torch.int32)  # type: ignore[arg-type]
        numbered.append(inner + count)
        count += int(inner.max()) + 1 if inner.numel() else 0
    function: Callable[..., Tensor] = node.target  # type: ignore[assignment]
    return function(numbered, *node.args[1:], **_keywords(node))


def _keywords(node: Node) -> dict[str, Any]:
    """Those that concern labels: not a type or a memory format."""
    return {n: v for n, v in node.kwargs.items() if n not in ("dtype", "memory_format")}


def _name(target: object) -> str:
    packet = getattr(target, "overloadpacket", None)
    return str(getattr(packet, "__name__", "")) if packet is not None else ""


def _shape(node: Node) -> tuple[int, ...] | None:
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _along_axes(labels: Labels) -> tuple[Joined, ...]:
    """The axes along which ``labels`` differ: places of the same labels are one part."""
    if not isinstance(labels, Tensor) or not labels.numel():
        return ()
    found = []
    for axis in range(labels.ndim):
        lines = labels.movedim(axis, 0).reshape(labels.shape[axis], -1)
        if bool((lines != lines[:1]).any()):
            _, groups = torch.unique(lines, dim=0, return_inverse=True)
            numbers: dict[int, int] = {}
            own = [numbers.setdefault(group, len(numbers)) for group in groups.tolist()]
            found.append(Joined(axis, tuple(own)))
    return tuple(found)
