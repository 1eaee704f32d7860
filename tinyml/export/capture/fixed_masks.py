"""``x[:, mask]`` with a mask that is the same for every input -> ``x[:, places]``.

How many places a mask of booleans has depends on its values: a captured program holds every size
behind it as unknown. The values of a constant are known, and so are its places.

Refused for a mask that is computed from an input.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node, map_arg

from tinyml.export.capture.constants import add_constant, is_plain, value_of
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
    found = [node for node in plain.graph.nodes if _is_fixed(plain, _masks(node))]
    for node in found:
        node.args = (node.args[0], _places(plain, node))
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


def _is_fixed(program: ExportedProgram, masks: list[Node]) -> bool:
    return bool(masks) and all(_fixed(program, own) is not None for own in masks)


def _places(program: ExportedProgram, node: Node) -> list[Any]:
    """The indices of ``node``; of a mask its places, an index for each of its axes."""
    found: list[Any] = []
    indices: Any = node.args[1]
    for own in indices:
        mask = _fixed(program, own) if _is_mask(own) else None
        if mask is None:
            found.append(own)
            continue
        for places in mask.nonzero(as_tuple=True):
            name = f"places_of_{node.name}_{len(found)}"
            found.append(add_constant(program, name, places))
    return found


def _fixed(program: ExportedProgram, node: Node) -> Tensor | None:
    """What ``node`` is for every input; ``None``: it depends on one."""
    held = value_of(program, node)
    if held is not None or node.op != "call_function":
        return held
    if not is_plain(node):
        return None
    known = {own: _fixed(program, own) for own in node.all_input_nodes}
    if any(value is None for value in known.values()):
        return None
    args, kwargs = map_arg((node.args, node.kwargs), known.__getitem__)
    value = node.target(*args, **kwargs)  # type: ignore[operator]
    return value if isinstance(value, Tensor) else None
