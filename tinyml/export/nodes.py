"""Writing operations into a captured program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node, map_arg


class Writer:
    """Writes operations in front of ``old``, as parts of the submodule that ``old`` is in."""

    def __init__(self, program: ExportedProgram, old: Node) -> None:
        self._graph, self._old = program.graph, old

    def call(self, target: Any, *args: Any, **kwargs: Any) -> Node:
        """One operation; its shape and type come from running it on those of its operands."""
        with self._graph.inserting_before(self._old):
            node: Node = self._graph.call_function(target, args, kwargs)
        node.meta = dict(self._old.meta)
        with torch.no_grad():
            given = map_arg((args, kwargs), lambda operand: operand.meta["val"])
            node.meta["val"] = target(*given[0], **given[1])
        return node

    def replace(self, new: Node) -> None:
        """``new`` takes the place and the name of ``old``, which is erased."""
        name = self._old.name
        self._old.replace_all_uses_with(new)
        self._graph.erase_node(self._old)
        new.name = name


def argument(node: Node, index: int, name: str, default: Any) -> Any:
    """An argument of ``node`` by its place or its name."""
    if len(node.args) > index:
        return node.args[index]
    return node.kwargs.get(name, default)


def shape_of(node: object) -> tuple[int, ...]:
    """The shape of a node's value."""
    assert isinstance(node, Node)
    return tuple(int(size) for size in node.meta["val"].shape)


def is_fixed(kwargs: Mapping[str, Any]) -> bool:
    """Whether no keyword is computed in the graph."""
    return not any(isinstance(value, Node) for value in kwargs.values())
