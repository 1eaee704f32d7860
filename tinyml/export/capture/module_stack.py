"""Which calls of which submodules a node of a captured graph is part of."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from torch.fx import Node

# The submodule of the wrapper that names outputs: the user's module.
MODULE = "module"
# What torch.export adds to the name of a submodule for its second call, its third ...
_CALL = re.compile(r"@(\d+)$")


def module_stack(node: Node) -> list[tuple[str, str]]:
    """(call, class) from the wrapper inwards; the second call of a submodule is ``name#2``.

    The user's module is called by the empty name; its class has its Python module before it.
    """
    found = []
    for key, (path, kind) in (node.meta.get("nn_module_stack") or {}).items():
        again = _CALL.search(key)
        count = f"#{int(again[1]) + 1}" if again else ""
        name = _CALL.sub("", path).removeprefix(MODULE).removeprefix(".")
        found.append((name + count, str(kind)))
    return found


def stage_of(node: Node, stages: Collection[str]) -> str:
    """The innermost of ``stages`` that ``node`` is part of; empty: none."""
    inside = [name for name, _ in module_stack(node) if name in stages]
    return inside[-1] if inside else ""


def innermost(nodes: Iterable[Node], stages: Collection[str]) -> dict[str, str]:
    """Node -> `stage_of` it, in order; before the nodes are tagged for a converter."""
    return {node.name: stage_of(node, stages) for node in nodes}


def submodules(nodes: Iterable[Node]) -> dict[str, str]:
    """Node -> the innermost submodule that calls it, in order; empty: the module itself."""
    return {node.name: module_stack(node)[-1][0] if module_stack(node) else "" for node in nodes}


def owners(stages: Mapping[str, str], made: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Tensor of a file -> the stage of the first node that it was ``made`` from.

    ``stages`` is `innermost`, or `submodules`. A convolution and the activation behind it are one
    operator: the convolution's.
    """
    found: dict[str, str] = {}
    for node, stage in stages.items():
        for name in made.get(node, ()) if stage else ():
            found.setdefault(name, stage)
    return found


def stages_of(node: Node) -> set[str]:
    """Every call that ``node`` is part of."""
    return {name for name, _ in module_stack(node)}
