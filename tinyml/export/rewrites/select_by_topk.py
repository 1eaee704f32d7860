"""``sort(x)``, ``argsort(x)``, ``topk(x)`` for its values alone -> ``topk(x)`` and a gather.

LiteRT's converter writes a ``topk`` whose places nobody uses, and every ``sort``, as an operator
that LiteRT does not have. The values are here read at the places instead; a sort is the topk of
all places. Equal values keep their order in both, as a stable sort has it.

Refused for a topk whose places are used: it is one operator as it is. Not for numbers of other
types than float32 and integers.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch.fx import Graph, Node

from tinyml.export.nodes import Writer, argument, shape_of, writer_in_module
from tinyml.export.outcome import Outcome

_aten = torch.ops.aten
_PAIRS = (_aten.topk.default, _aten.sort.default, _aten.sort.stable)
_SINGLE = (_aten.argsort.default, _aten.argsort.stable, _aten.msort.default)
_TYPES = (torch.float32, torch.int32, torch.int64)


def select_by_topk(graph: Graph) -> Outcome:
    """Replace sorts and topks."""
    found = [node for node in graph.nodes if _fits(node)]
    for node in found:
        _replace(graph, node)
    return Outcome(len(found))


def _fits(node: Node) -> bool:
    if node.target in _SINGLE:
        return _is_sortable(node.args[0])
    if node.target not in _PAIRS or not _is_sortable(node.args[0]):
        return False
    return node.target is not _aten.topk.default or (_users(node, 0) and not _users(node, 1))


def _is_sortable(x: Any) -> bool:
    return x.meta["val"].dtype in _TYPES and x.meta["val"].ndim > 0


def _users(pair: Node, which: int) -> bool:
    return any(user.users for user in pair.users if user.args[1] == which)


def _replace(graph: Graph, node: Any) -> None:
    write, x = writer_in_module(node), node.args[0]
    axis = _axis(node)
    count = int(node.args[1]) if node.target is _aten.topk.default else shape_of(x)[axis]
    largest = _largest(node)
    pair = write.call(_aten.topk.default, x, count, axis, largest, True)
    places = write.call(operator.getitem, pair, 1)
    if node.target in _SINGLE:
        chosen = _gather(write, x, axis, places) if node.target is _aten.msort.default else places
        write.replace(chosen)
        return
    for user in list(node.users):
        reading = writer_in_module(user)
        reading.replace(places if user.args[1] else _gather(reading, x, axis, places))
    graph.erase_node(node)


def _axis(node: Any) -> int:
    """Of ``x``, counted from the front."""
    first = {
        _aten.topk.default: 2,
        _aten.sort.default: 1,
        _aten.argsort.default: 1,
    }.get(node.target)
    default = 0 if node.target is _aten.msort.default else -1
    axis = node.kwargs.get("dim", default) if first is None else argument(node, first, "dim", -1)
    return int(axis) % len(shape_of(node.args[0]))


def _largest(node: Node) -> bool:
    if node.target is _aten.topk.default:
        return bool(argument(node, 3, "largest", True))
    if node.target in (_aten.sort.default, _aten.argsort.default):
        return bool(argument(node, 2, "descending", False))
    return bool(node.kwargs.get("descending", False))


def _gather(write: Writer, x: Node, axis: int, places: Node) -> Node:
    """One operator where there is only one row."""
    if math.prod(shape_of(x)) != shape_of(x)[axis]:
        return write.call(_aten.gather.default, x, axis, places)
    flat = write.call(_aten.view.default, places, [shape_of(places)[axis]])
    return write.call(_aten.index_select.default, x, axis, flat)
