"""What a scatter of PyTorch writes where: the one form that all of its operators have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from tinyml.export.nodes import Writer, argument, shape_of

_aten = torch.ops.aten
_ALONG = {  # operators with one index for a whole axis
    _aten.index_add.default: "sum",
    _aten.index_copy.default: "copy",
    _aten.index_fill.int_Scalar: "fill",
    _aten.index_fill.int_Tensor: "fill",
}
_EACH = {  # operators with an index for each value
    _aten.scatter.src: "copy",
    _aten.scatter.value: "fill",
    _aten.scatter_add.default: "sum",
    _aten.scatter_reduce.two: "",
}
_HOW = ("copy", "fill", "sum", "amax", "amin")
SCATTERS = {*_ALONG, *_EACH, _aten.index_put.default}
# The largest comparison of places that is worth writing, in elements.
MOST = 1 << 22
_SAME_SIZE = (_aten.expand.default, _aten.expand_as.default)


@dataclass(frozen=True, slots=True)
class Scatter:
    """``how`` of "copy", "fill", "sum", "amax", "amin"; B blocks of N places take M values each.

    rows    what is written to [B, N, R]
    places  below N [B, M]
    values  [B, M, R]; of "fill" one number, or [1, 1, R]
    sizes   (B, N, M)
    order   of the axes of the result, before they were moved; ``shape``: their lengths
    """

    how: str
    rows: Node
    places: Node
    values: Node
    sizes: tuple[int, int, int]
    order: tuple[int, ...]
    shape: tuple[int, ...]

    def restore(self, write: Writer, rows: Node) -> Node:
        """``rows`` in the shape of the result."""
        moved = [self.shape[axis] for axis in self.order]
        back = [self.order.index(axis) for axis in range(len(self.order))]
        return _permuted(write, write.call(_aten.view.default, rows, moved), back)


def read_scatter(write: Writer, node: Node) -> Scatter | None:
    """The scatter that ``node`` is; ``None`` for one that has no such form."""
    if node.target in _ALONG:
        return _along(write, node)
    if node.target in _EACH:
        return _each(write, node)
    return _put(write, node)


def _along(write: Writer, node: Any) -> Scatter | None:
    target, axis, index, values, *_ = node.args
    if node.kwargs.get("alpha", 1) != 1:
        return None
    shape = shape_of(target)
    axis = int(axis) % max(1, len(shape))
    many = math.prod(shape_of(index))
    how = _ALONG[node.target]
    return _moved(write, how, target, [axis], index, many, values, [axis])


def _each(write: Writer, node: Any) -> Scatter | None:
    target, axis, index, values, *more = node.args
    how = _EACH[node.target] or str(more[0])
    if how not in _HOW or not node.kwargs.get("include_self", True):
        return None
    shape, given = shape_of(target), shape_of(index)
    axis = int(axis) % max(1, len(shape))
    if not shape or _without(shape, axis) != _without(given, axis):
        return None
    many = given[axis]
    if isinstance(values, Node) and how != "fill":
        values = _cut(write, values, given)
    if (column := _one_column(index, axis)) is not None:
        return _moved(write, how, target, [axis], column, many, values, [axis])
    blocks, count = math.prod(_without(shape, axis)), shape[axis]
    if blocks * count * many > MOST:
        return None
    order = (*_without(range(len(shape)), axis), axis)
    rows, places = (_laid(write, n, order, [blocks, -1]) for n in (target, index))
    rows = write.call(_aten.view.default, rows, [blocks, count, 1])
    if how == "fill":
        held: Node | None = _number(write, values, target)
    else:
        held = _laid(write, values, order, [blocks, many, 1])
    assert held is not None
    return Scatter(how, rows, places, held, (blocks, count, many), order, shape)


def _put(write: Writer, node: Node) -> Scatter | None:
    """``index_put`` of integers that are next to each other."""
    target, indices, values = node.args[:3]
    assert isinstance(indices, Sequence)
    axes = [axis for axis, index in enumerate(indices) if index is not None]
    given: list[Any] = [indices[axis] for axis in axes]
    if axes != list(range(axes[0], axes[-1] + 1)) or any(_is_mask(index) for index in given):
        return None
    how = "sum" if argument(node, 3, "accumulate", False) else "copy"
    shape = shape_of(target)
    lengths = np.broadcast_shapes(*(shape_of(index) for index in given))
    many = math.prod(lengths)
    places = _flat_place(write, given, [shape[axis] for axis in axes])
    if how == "copy" and math.prod(shape_of(values)) == 1:
        return _moved(write, "fill", target, axes, places, many, values, [])
    whole = [*shape[: axes[0]], *lengths, *shape[axes[-1] + 1 :]]
    values = write.call(_aten.expand.default, values, whole)
    moved = list(range(axes[0], axes[0] + len(lengths)))
    return _moved(write, how, target, axes, places, many, values, moved)


def _flat_place(write: Writer, indices: list[Node], lengths: list[int]) -> Node:
    """One index for several axes; what counts from the end counts from the front."""
    place: Node | None = None
    for index, length in zip(indices, lengths, strict=True):
        behind = write.call(_aten.add.Tensor, index, length)
        below = write.call(_aten.lt.Scalar, index, 0)
        own = write.call(_aten.where.self, below, behind, index)
        if place is not None:
            own = write.call(_aten.add.Tensor, write.call(_aten.mul.Tensor, place, length), own)
        place = own
    assert place is not None
    return place


def _moved(
    write: Writer,
    how: str,
    target: Any,
    axes: list[int],
    index: Any,
    many: int,
    values: Any,
    value_axes: list[int],
) -> Scatter | None:
    """One block: ``axes`` of the target, ``value_axes`` of the values, go to the front."""
    shape = shape_of(target)
    order = (*axes, *(axis for axis in range(len(shape)) if axis not in axes))
    count = math.prod(shape[axis] for axis in axes)
    width = math.prod(shape) // max(1, count)
    size = count * many * (width if how in ("amax", "amin") else 1)
    if not shape or size > MOST or not size:
        return None
    rows = _laid(write, target, order, [1, count, width])
    places, sizes = write.call(_aten.view.default, index, [1, many]), (1, count, many)
    if how == "fill":
        number = _number(write, values, target)
        return Scatter(how, rows, places, number, sizes, order, shape) if number else None
    rank = len(shape_of(values))
    value_order = (*value_axes, *(axis for axis in range(rank) if axis not in value_axes))
    laid = _laid(write, values, value_order, [1, many, width])
    return Scatter(how, rows, places, laid, sizes, order, shape)


def _laid(write: Writer, node: Any, order: Sequence[int], shape: list[int]) -> Node:
    return write.call(_aten.reshape.default, _permuted(write, node, order), shape)


def _permuted(write: Writer, node: Node, order: Sequence[int]) -> Node:
    if list(order) == sorted(order):
        return node
    return write.call(_aten.permute.default, node, list(order))


def _number(write: Writer, value: Any, like: Any) -> Node | None:
    """A number, or a tensor that holds one, in the type of what it is written to."""
    dtype = like.meta["val"].dtype
    if not isinstance(value, Node):
        return write.constant(torch.tensor(value, dtype=dtype))
    if math.prod(shape_of(value)) != 1:
        return None
    single = write.call(_aten.reshape.default, value, [1, 1, 1])
    return single if value.meta["val"].dtype == dtype else write.call(_aten.to.dtype, single, dtype)


def _cut(write: Writer, values: Node, shape: tuple[int, ...]) -> Node:
    """As many values as there are indices."""
    for axis, (has, needs) in enumerate(zip(shape_of(values), shape, strict=True)):
        if has != needs:
            values = write.call(_aten.slice.Tensor, values, axis, 0, needs)
    return values


def _one_column(index: Any, axis: int) -> Node | None:
    """The index of one place for all others, if they all have the same."""
    if index.target not in _SAME_SIZE:
        return None
    base: Node = index.args[0]
    own = shape_of(base)
    missing = len(shape_of(index)) - len(own)
    alike = all(size == 1 for at, size in enumerate(own, missing) if at != axis)
    return base if alike and math.prod(own) == shape_of(index)[axis] else None


def _is_mask(index: Any) -> bool:
    return index.meta["val"].dtype in (torch.bool, torch.uint8)


def _without(sizes: Any, axis: int) -> tuple[int, ...]:
    return tuple(size for at, size in enumerate(sizes) if at != axis)
