"""``adaptive_max_pool(x, size)`` -> a maximum, or a max_pool, over its windows.

Size 1 is the maximum of the axis. Sizes that divide their lengths are a plain pooling.
Else the samples of the windows are laid out one window after the other, short windows
with their last sample again, which changes no maximum; then the maximum of each.

Refused where the places of the maxima are used. Neither format's converter has adaptive
maximum pooling.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.capture.constants import add_constant
from tinyml.export.nodes import Writer, shape_of
from tinyml.export.outcome import Outcome
from tinyml.export.rewrites.average_by_matrix import windows

FIRES_IN = "adaptive-pooling"

_aten = torch.ops.aten
_POOLINGS = {
    _aten.adaptive_max_pool1d.default: (1, _aten.max_pool1d.default),
    _aten.adaptive_max_pool2d.default: (2, _aten.max_pool2d.default),
}


def maximum_by_windows(program: ExportedProgram, stages: dict[str, str | None]) -> Outcome:
    """Replace poolings of which only the maxima are used."""
    found = [node for node in program.graph.nodes if _is_maximum(node)]
    refused = {node.name: "the places are used" for node in found if _places_are_used(node)}
    for node in found:
        if node.name not in refused:
            _replace(program, node)
    return Outcome(len(found) - len(refused), refused)


def _is_maximum(values: Any) -> bool:
    """Whether ``values`` are the maxima of a pooling."""
    first = values.target is operator.getitem and values.args[1] == 0
    return first and values.args[0].target in _POOLINGS


def _places_are_used(values: Any) -> bool:
    return any(other.users for other in values.args[0].users if other is not values)


def _replace(program: ExportedProgram, values: Node) -> None:
    pooling: Any = values.args[0]
    rank, pool = _POOLINGS[pooling.target]
    x = pooling.args[0]
    assert isinstance(x, Node)
    write, lengths, sizes = Writer(program, values), shape_of(x), shape_of(values)
    axes = range(len(sizes) - rank, len(sizes))
    if all(sizes[axis] == 1 for axis in axes):
        write.replace(write.call(_aten.amax.default, x, list(axes), True))
    elif not any(lengths[axis] % sizes[axis] for axis in axes):
        steps = [lengths[axis] // sizes[axis] for axis in axes]
        write.replace(write.call(pool, x, steps, steps))
    else:
        for axis in axes:
            x = _maximum(program, write, x, axis, sizes[axis])
        write.replace(x)
    for unused in (*pooling.users, pooling):
        program.graph.erase_node(unused)


def _maximum(program: ExportedProgram, write: Writer, x: Node, axis: int, size: int) -> Node:
    shape = shape_of(x)
    if shape[axis] == size:
        return x
    found = windows(shape[axis], size)
    longest = max(end - start for start, end in found)
    places = [min(start + i, end - 1) for start, end in found for i in range(longest)]
    name = f"{x.name}_windows{axis}"
    chosen = add_constant(program, name, torch.tensor(places, dtype=torch.int32))
    laid = write.call(_aten.index_select.default, x, axis, chosen)
    split = [*shape[:axis], size, longest, *shape[axis + 1 :]]
    return write.call(_aten.amax.default, write.call(_aten.view.default, laid, split), [axis + 1])
