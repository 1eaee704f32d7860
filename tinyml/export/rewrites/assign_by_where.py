"""``x[mask] = value`` and ``masked_scatter(x, mask, values)`` -> ``where(mask, ..., x)``.

How many places a mask of booleans has depends on its values, and no format has such shapes. A
value that is the same for all of them needs no count, and ``x[mask] = y[mask]`` takes ``y`` where
the mask is. The n-th place of a masked scatter takes the n-th value: a running sum of the mask
counts them.

Refused for ``x[mask] = values`` with as many values as there are places, for a mask next to other
indices, and when the values are added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Graph, Node

from tinyml.export.capture.fixed_masks import drop_asserted
from tinyml.export.nodes import Writer, argument, shape_of, writer_in_module
from tinyml.export.outcome import Outcome

_aten = torch.ops.aten


def assign_by_where(graph: Graph) -> Outcome:
    """Replace assignments."""
    replaced, refused = 0, {}
    for node in list(graph.nodes):
        write = writer_in_module(node)
        chosen: Node | None = None
        if node.target is _aten.masked_scatter.default:
            chosen = _in_turn(write, node)
        elif node.target is _aten.index_put.default:
            chosen = _of_all(write, node)
        else:
            continue
        if chosen is None:
            refused[node.name] = "it is not an assignment to places under a mask"
            continue
        values = node.args[2]
        write.replace(chosen)
        _drop_unused(graph, values)
        replaced += 1
    return Outcome(replaced, refused)


def _drop_unused(graph: Graph, read: Any) -> None:
    """Erase ``y[mask]``, whose shape no format has, with what was asserted of its count."""
    drop_asserted(read)
    if not read.users and read.target is _aten.index.Tensor:
        graph.erase_node(read)


def _of_all(write: Writer, node: Any) -> Node | None:
    """``where`` of an assignment with one mask and a value that does not depend on its count."""
    target, indices, values = node.args[:3]
    mask: Any = _mask(indices)
    if mask is None or argument(node, 3, "accumulate", False):
        return None
    inside = shape_of(target)[len(shape_of(mask)) :]
    whole = _read_where(values, indices)
    if whole is None or shape_of(whole) != shape_of(target):
        if len(shape_of(values)) > len(inside) and math.prod(shape_of(values)) != 1:
            return None
        whole = values if len(shape_of(values)) <= len(inside) else _single(write, values)
    for _ in inside:
        mask = write.call(_aten.unsqueeze.default, mask, -1)
    return write.call(_aten.where.self, mask, whole, target)


def _mask(indices: Any) -> Node | None:
    assert isinstance(indices, Sequence)
    first: Any = indices[0]
    if len(indices) > 1 or first is None or first.meta["val"].dtype != torch.bool:
        return None
    return first  # type: ignore[no-any-return]


def _read_where(values: Any, indices: Any) -> Node | None:
    """``y`` of values that are ``y[mask]``, with the same mask."""
    if values.target is not _aten.index.Tensor or list(values.args[1]) != list(indices):
        return None
    source: Node = values.args[0]
    return source


def _single(write: Writer, values: Any) -> Node:
    return write.call(_aten.reshape.default, values, [])


def _in_turn(write: Writer, node: Node) -> Node:
    target, mask, values = node.args
    shape = list(shape_of(target))
    count, many = math.prod(shape), math.prod(shape_of(values))
    whole = write.call(_aten.expand.default, mask, shape)
    ones = write.call(
        _aten.to.dtype, write.call(_aten.reshape.default, whole, [count]), torch.int64
    )
    turn = write.call(_aten.sub.Tensor, write.call(_aten.cumsum.default, ones, 0), 1)
    turn = write.call(_aten.clamp.default, turn, 0, many - 1)
    flat = write.call(_aten.reshape.default, values, [many])
    chosen = write.call(_aten.index_select.default, flat, 0, turn)
    return write.call(
        _aten.where.self, whole, write.call(_aten.view.default, chosen, shape), target
    )
