"""``x[:, mask]`` with a mask that is the same for every input -> ``x[:, places]``.

How many places a mask of booleans has depends on its values: a captured program holds every size
behind it as unknown. The values of a constant are known, and so are its places.

Refused for a mask that is computed from an input.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.capture.constants import add_constant, computed, value_of
from tinyml.export.capture.functional import functional

_aten = torch.ops.aten
# What a captured program asserts of an unknown size.
OF_COUNT = (
    _aten.sym_size.int,
    _aten._assert_scalar.default,
    _aten.sym_constrain_range_for_size.default,
    operator.ge,
    operator.le,
)


def choose_fixed_places(program: ExportedProgram) -> ExportedProgram:
    """``program`` with sizes that are known: itself where no mask is fixed."""
    if not any(map(_masks, program.graph.nodes)):
        return program
    plain = functional(program)
    reading = {node: own for node in plain.graph.nodes if (own := _masks(node))}
    held = partial(value_of, plain)
    fixed = {own: computed(own, held) for masks in reading.values() for own in masks}
    found = [
        node for node, masks in reading.items() if all(fixed[own] is not None for own in masks)
    ]
    for node in found:
        node.args = (node.args[0], _places(plain, node, fixed))
        drop_asserted(node)
    return functional(plain) if found else program


def drop_asserted(node: Node) -> None:
    """Erase what is only asserted of the size of ``node``."""
    for user in list(node.users):
        if user.target in OF_COUNT:
            drop_asserted(user)
            if not user.users:
                user.graph.erase_node(user)


def _masks(node: Node) -> list[Node]:
    """The masks that ``node`` reads with."""
    if node.target is not _aten.index.Tensor:
        return []
    indices: Any = node.args[1]
    return [own for own in indices if _is_mask(own)]


def _is_mask(index: Any) -> bool:
    return isinstance(index, Node) and index.meta["val"].dtype == torch.bool


def _places(program: ExportedProgram, node: Node, fixed: Mapping[Node, Tensor | None]) -> list[Any]:
    """The indices of ``node``; of a mask its places, an index for each of its axes."""
    found: list[Any] = []
    indices: Any = node.args[1]
    for own in indices:
        mask = fixed.get(own)
        if mask is None:
            found.append(own)
            continue
        for places in mask.nonzero(as_tuple=True):
            name = f"places_of_{node.name}_{len(found)}"
            found.append(add_constant(program, name, places))
    return found
