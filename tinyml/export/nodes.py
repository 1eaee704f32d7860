"""Writing operations into a captured program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node, map_arg

from tinyml.export.capture.constants import computed


class Writer:
    """Writes operations in front of ``old``, as parts of the submodule that ``old`` is in."""

    def __init__(self, program: ExportedProgram | GraphModule, old: Node) -> None:
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

    def constant(self, value: Tensor) -> Node:
        """A buffer of the module that the graph belongs to; not for a captured program."""
        owner = self._graph.owning_module
        assert owner is not None
        name = f"_constant_{sum(1 for _ in owner.buffers())}"
        owner.register_buffer(name, value)
        with self._graph.inserting_before(self._old):
            node: Node = self._graph.get_attr(name)
        node.meta = {**self._old.meta, "val": fake_mode(self._graph.nodes).from_tensor(value)}
        return node

    def replace(self, new: Node) -> None:
        """``new`` takes the place and the name of ``old``, which is erased."""
        name = self._old.name
        self._old.replace_all_uses_with(new)
        self._graph.erase_node(self._old)
        new.name = name


def writer_in_module(old: Node) -> Writer:
    """A `Writer` in front of a node of a module's graph."""
    module = old.graph.owning_module
    assert module is not None
    return Writer(module, old)


def fake_mode(nodes: Iterable[Node]) -> Any:
    """What makes the values without data that the nodes of one graph are noted with."""
    values: Iterable[Any] = (node.meta.get("val") for node in nodes)
    return next(value.fake_mode for value in values if hasattr(value, "fake_mode"))


def fixed_value(node: object) -> Tensor | None:
    """What ``node`` of a module's graph is for every input; ``None``: it depends on one."""
    if isinstance(node, Tensor):
        return node
    return computed(node, _held) if isinstance(node, Node) else None


def live(graph: Graph) -> list[Node]:
    """What an output is computed from, and what writes into its operands, in order."""
    waiting = [node for node in graph.nodes if node.op == "output" or _writes(node)]
    found = set(waiting)
    while waiting:
        operands = [own for own in waiting.pop().all_input_nodes if own not in found]
        found.update(operands)
        waiting += operands
    return [node for node in graph.nodes if node in found]


def _writes(node: Node) -> bool:
    return bool(getattr(getattr(node.target, "_schema", None), "is_mutable", False))


def _held(node: Node) -> Tensor | None:
    """The buffer or parameter that ``node`` reads; ``None``: it reads none."""
    if node.op != "get_attr":
        return None
    held: Any = node.graph.owning_module
    for part in str(node.target).split("."):
        held = getattr(held, part)
    return held.detach() if isinstance(held, Tensor) else None


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
