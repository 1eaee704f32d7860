"""Which operand of a concatenation each value of a stage or output comes from.

Labels take the way of the values through the captured graph: ``cat`` and ``stack`` number
their operands, what moves data moves the labels, what computes each value from one keeps
them, anything else (a convolution, a sum) ends them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from tinyml.core.parts import Joined
from tinyml.export.capture import Captured

JOINS = ("cat", "concat", "stack")
MOVERS = (
    *("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze"),
    *("permute", "transpose", "movedim", "t", "flip", "roll", "contiguous", "clone", "alias"),
    *("detach", "slice", "select", "narrow", "expand", "split", "split_with_sizes", "chunk"),
    *("unbind", "detach_", "lift_fresh_copy"),
)
# Of each channel's own values, though not marked as such.
BY_CHANNEL = ("batch_norm", "_native_batch_norm_legit_no_training", "dropout")
Labels = Any  # a Tensor of integers, or a tuple of them where an operator returns several


def joined(captured: Captured) -> dict[str, Joined]:
    """Stage or output -> its parts, for those that join several along one axis."""
    labels: dict[str, Labels] = {}
    for node in captured.program.graph.nodes:
        if node.op == "call_function" and (found := _labels(node, labels)) is not None:
            labels[node.name] = found
    named: Mapping[str, str | None] = {**captured.stages, **captured.outputs}
    found = {name: _along_one_axis(labels[n]) for name, n in named.items() if n in labels}
    return {name: own for name, own in found.items() if own is not None}


def _labels(node: Node, labels: Mapping[str, Labels]) -> Labels | None:
    """The labels of what ``node`` gives; ``None``: it is of one part."""
    name = _name(node.target)
    if name in JOINS:
        return _join(node, labels)
    known = [own for own in node.all_input_nodes if own.name in labels]
    if not known:
        return None
    if name in MOVERS or node.target is operator.getitem:
        function: Callable[..., Labels] = node.target  # type: ignore[assignment]
        moved = torch.fx.node.map_arg(node.args, lambda own: labels[own.name])
        return function(*moved, **_keywords(node))
    if torch.Tag.pointwise not in getattr(node.target, "tags", ()) and name not in BY_CHANNEL:
        return None
    shape = _shape(node)
    return next((labels[own.name] for own in known if _shape(own) == shape), None)


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


def _along_one_axis(labels: Labels) -> Joined | None:
    """The axis along which alone ``labels`` differ."""
    if not isinstance(labels, Tensor):
        return None
    for axis in range(labels.ndim):
        lines = labels.movedim(axis, 0).reshape(labels.shape[axis], -1)
        several = lines.numel() and bool((lines != lines[0, 0]).any())
        if several and bool((lines == lines[:, :1]).all()):
            return Joined(axis, tuple(lines[:, 0].tolist()))
    return None
