"""Reading and adding constants of a captured program, whose weights are graph inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument
from torch.fx import Node, map_arg


def value_of(program: ExportedProgram, node: object) -> Tensor | None:
    """The weight or buffer that ``node`` stands for, ``None`` for a computed value."""
    if not isinstance(node, Node):
        return None
    stored = {**program.state_dict, **program.constants}
    for spec in program.graph_signature.input_specs:
        if spec.arg.name == node.name and spec.target is not None:
            found: Tensor = stored[spec.target]
            return found.detach()
    return None


def add_constant(program: ExportedProgram, name: str, value: Tensor) -> Node:
    """A new weight of ``program``, called ``name``, as a node to compute with."""
    first = next(iter(program.graph.nodes))
    with program.graph.inserting_before(first):
        node: Node = program.graph.placeholder(name)
    modes = (n.meta["val"].fake_mode for n in program.graph.nodes if _is_fake(n))
    node.meta["val"] = next(modes).from_tensor(value, static_shapes=True)
    spec = InputSpec(InputKind.PARAMETER, TensorArgument(node.name), node.name)
    program.graph_signature.input_specs.insert(0, spec)
    program.state_dict[node.name] = torch.nn.Parameter(value, requires_grad=False)
    return node


def computed(node: Node, held: Callable[[Node], Tensor | None]) -> Tensor | None:
    """What ``node`` is for every input, by the constants ``held``; ``None``: it depends on one."""
    known, calls, waiting = dict[Node, Tensor](), set[Node](), [node]
    while waiting:
        own = waiting.pop()
        if own in calls or own in known:
            continue
        if own.op == "call_function" and _is_plain(own):
            calls.add(own)
            waiting += own.all_input_nodes
        elif (value := held(own)) is not None:
            known[own] = value
        else:
            return None
    for own in node.graph.nodes:
        if own in calls:
            made = _called(own, known)
            if not isinstance(made, Tensor):
                return None
            known[own] = made
    return known[node]


def _called(node: Node, known: Mapping[Node, Tensor]) -> object:
    args, kwargs = map_arg((node.args, node.kwargs), known.__getitem__)
    with torch.no_grad():
        return node.target(*args, **kwargs)  # type: ignore[operator]


def _is_plain(node: Node) -> bool:
    """Whether a call always returns the same: neither random nor writing in place."""
    tags = getattr(node.target, "tags", ())
    schema = getattr(node.target, "_schema", None)
    return (
        schema is not None
        and node.kwargs.get("generator") is None
        and not schema.is_mutable
        and torch.Tag.nondeterministic_seeded not in tags
    )


def _is_fake(node: Node) -> bool:
    return hasattr(node.meta.get("val"), "fake_mode")
