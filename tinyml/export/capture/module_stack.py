"""Which calls of which submodules a node of a captured graph is part of."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from torch.fx import Node

# The submodule of the wrapper that names outputs: the user's module.
MODULE = "module"
# Of a node's ``custom`` metadata, which is saved with a program: the submodule that it shows.
SHOWN = "tinyml submodule"
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
    """Node -> the submodule that it shows, in order; empty: the module itself."""
    return {node.name: submodule(node) for node in nodes}


def submodule(node: Node) -> str:
    """The innermost submodule that calls ``node``, or the one that a rewrite has noted."""
    noted = (node.meta.get("custom") or {}).get(SHOWN)
    stack = module_stack(node)
    return str(noted) if noted is not None else stack[-1][0] if stack else ""


def show_as(node: Node, name: str) -> None:
    """Note that ``node`` shows the submodule ``name``, whatever calls it."""
    node.meta["custom"] = {**(node.meta.get("custom") or {}), SHOWN: name}


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
