"""Which axis of a TFLite tensor is which axis of PyTorch's value.

An order has one entry for each axis of PyTorch's: the tensor's axis, or -1 for an axis of
length one that the tensor does not have. ``()``: they are alike. Convolutions
are channels-last; a one-dimensional one is a row there. Where both layouts have the same
sizes, the operator decides that the tensor comes from, through what only moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]

MOVES = {"TRANSPOSE", "RESHAPE"}
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
class Produced:
    """A computed tensor: its index and shape, and the operator that it comes from.

    computed    the operator's inputs that are no constants
    constants   the others
    order       of a TRANSPOSE, its constant permutation
    """

    index: int
    shape: Shape
    operator: str
    computed: tuple[int, ...]
    constants: tuple[int, ...]
    activated: bool
    order: Shape = ()


def layout(shape: Shape, tensor: Produced, tensors: Mapping[int, Produced]) -> Shape | None:
    """The order that gives ``tensor`` the layout of ``shape``; ``None`` if it is unknown."""
    rank = len(shape)
    same = _order(shape, tuple(range(rank)), tensor.shape)
    to_last = (0, *range(2, rank), 1)
    last = _order(shape, to_last, tensor.shape) if rank >= 3 else None
    if same is None or last is None or same == last:
        return last if same is None else same
    axes = _traced(rank, tensor, tensors)
    return None if axes is None else _order(shape, axes, tensor.shape)


def _order(shape: Shape, axes: Shape, held: Shape) -> Shape | None:
    """The order for a tensor ``held`` with PyTorch's ``axes`` one after the other."""
    if tuple(shape[axis] for axis in axes) == held:
        order = tuple(axes.index(axis) for axis in range(len(shape)))
        return () if order == tuple(range(len(shape))) else order
    long = [axis for axis in axes if shape[axis] > 1]
    places = [place for place, size in enumerate(held) if size > 1]
    if [shape[axis] for axis in long] != [held[place] for place in places]:
        return None
    where = dict(zip(long, places, strict=True))
    return tuple(where.get(axis, -1) for axis in range(len(shape)))


def _traced(rank: int, tensor: Produced, tensors: Mapping[int, Produced]) -> Shape | None:
    """PyTorch's axes in the order of ``tensor``, from the channels-last operator behind it."""
    if tensor.operator in _CHANNELS_LAST:
        return (0, *range(2, rank), 1)
    before = tensors.get(tensor.computed[0]) if tensor.computed else None
    axes = None if before is None else _traced_back(rank, tensor, before, tensors)
    return axes


def _traced_back(
    rank: int, tensor: Produced, before: Produced, tensors: Mapping[int, Produced]
) -> Shape | None:
    if tensor.operator not in MOVES:
        return None
    axes = _traced(rank, before, tensors)
    if axes is None or tensor.operator == "RESHAPE":
        return axes if _without_ones(before.shape) == _without_ones(tensor.shape) else None
    if len(before.shape) == rank:
        return tuple(axes[place] for place in tensor.order)
    if len(before.shape) != rank + 1:
        return None
    row = (axes[0], -1, *axes[1:])  # a one-dimensional convolution is a row of an image
    return tuple(row[place] for place in tensor.order if row[place] >= 0)


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size > 1)
