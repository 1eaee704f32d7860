"""``mean(x, (2, 3))`` -> ``view(mean(x, (2, 3), keepdim=True))``, for images ``[B, C, H, W]``.

For LiteRT's converter only. It moves convolutions to the channels-last layout as long as
values have four axes: an average that drops two of them is computed channels-first, behind
a TRANSPOSE of the whole image. That costs time, and XNNPACK's sparse path, which must end in
an average over space, does not reach it. With its axes kept the average moves too.

Also fires for the same as a sum, as two means of one axis each, ``x.mean(3).mean(2)``, and as
the mean of a flattened image, ``x.flatten(2).mean(2)``.

Refused for other axes, where axes are kept already, and where what lies between the image
and the last mean has another user.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph, Node

from tinyml.export.nodes import shape_of
from tinyml.export.outcome import Outcome

_aten = torch.ops.aten
_REDUCTIONS = (_aten.mean.dim, _aten.sum.dim_IntList)
_FLATTENED = (_aten.flatten.using_ints, _aten.view.default, _aten.reshape.default)
SPACE = [2, 3]


def average_over_space(graph: Graph) -> Outcome:
    """Keep the axes of averages over space until a view behind them."""
    moved, refused = 0, {}
    for node in list(graph.nodes):
        if node.target not in _REDUCTIONS:
            continue
        image = _image(node)
        if isinstance(image, str):
            refused[node.name] = image
            continue
        _keep_axes(graph, node, image)
        moved += 1
    return Outcome(moved, refused)


def _image(node: Node) -> Node | str:
    """The image that ``node`` is the mean or the sum of, or why it is of none."""
    operand: Any = node.args[0]
    rank = len(shape_of(operand))
    if len(shape_of(node)) != 2 or rank not in (3, 4):
        return "it does not drop two axes of an image"
    if rank == 4:
        return operand if _axes(node, 4) == SPACE else "it drops other axes, or changes the type"
    if _axes(node, 3) != [2]:
        return "it drops other axes, or changes the type"
    if len(operand.users) != 1:
        return "what is before it has another user"
    flat = operand.target in _FLATTENED
    found = _image_of_flat(operand) if flat else _image_of_rows(node)
    return "it is not the mean of an image" if found is None else found


def _image_of_flat(flat: Any) -> Node | None:
    """The image whose rows were laid out one behind the other, if ``flat`` is that."""
    image: Node = flat.args[0]
    shape = shape_of(image)
    joined = (*shape[:2], shape[2] * shape[3]) if len(shape) == 4 else ()
    return image if shape_of(flat) == joined else None


def _image_of_rows(node: Any) -> Node | None:
    """The image, if ``node`` is the mean of means along one of its axes."""
    rows = node.args[0]
    if rows.target is not node.target or len(shape_of(rows.args[0])) != 4:
        return None
    return rows.args[0] if _axes(rows, 4) in ([2], [3]) else None


def _axes(node: Any, rank: int) -> list[int]:
    """Axes that ``node`` drops, in order; none where it keeps them or changes the type."""
    kept = len(node.args) > 2 and node.args[2]
    if kept or node.kwargs.get("keepdim") or node.kwargs.get("dtype") is not None:
        return []
    return sorted(int(axis) % rank for axis in node.args[1] or ())


def _keep_axes(graph: Graph, node: Node, image: Node) -> None:
    shape = list(shape_of(node))
    with graph.inserting_before(node):
        kept = graph.call_function(node.target, (image, SPACE, True))  # type: ignore[arg-type]
    kept.meta = dict(node.meta)
    kept.meta["val"] = node.meta["val"].reshape([*shape, 1, 1])
    between: Any = node.args[0]
    node.target, node.args, node.kwargs = _aten.view.default, (kept, shape), {}
    if between is not image:
        graph.erase_node(between)
