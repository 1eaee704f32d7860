"""``x[:, mask]`` with a mask that is a constant -> ``index_select`` of its places.

How many places a mask has depends on its values, and LiteRT has no such shapes: those of a
constant are known.

Refused for a mask that is computed, for one of several axes, and next to other indices.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

from tinyml.export.nodes import fixed_value, writer_in_module
from tinyml.export.outcome import Outcome
from tinyml.export.rewrites.assign_by_where import OF_COUNT, drop_unused

_aten = torch.ops.aten


def index_by_places(graph: Graph) -> Outcome:
    """Replace masks; what was asserted of their count goes too."""
    replaced, refused = 0, {}
    for node in list(graph.nodes):
        if node.target is not _aten.index.Tensor or not _masks(node):
            continue
        axis, mask = _only_mask(node)
        if mask is None:
            refused[node.name] = "its mask is not a constant of one axis alone"
            continue
        for user in list(node.users):
            if user.target in OF_COUNT:
                drop_unused(graph, user)
        write = writer_in_module(node)
        places = write.constant(mask.nonzero().flatten())
        write.replace(write.call(_aten.index_select.default, node.args[0], axis, places))
        replaced += 1
    return Outcome(replaced, refused)


def _masks(node: Any) -> list[tuple[int, Node]]:
    return [
        (axis, own)
        for axis, own in enumerate(node.args[1])
        if own is not None and own.meta["val"].dtype == torch.bool
    ]


def _only_mask(node: Any) -> tuple[int, Tensor | None]:
    axis, own = _masks(node)[0]
    alone = sum(index is not None for index in node.args[1]) == 1
    mask = fixed_value(own) if alone else None
    return axis, mask if mask is not None and mask.ndim == 1 else None
