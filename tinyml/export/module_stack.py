"""Which calls of which submodules a node of a captured graph is part of."""

from __future__ import annotations

from collections.abc import Collection

from torch.fx import Node

# The submodule of the wrapper that names outputs: the user's module.
MODULE = "module"


def module_stack(node: Node) -> list[tuple[str, str]]:
    """(call, class) from the wrapper inwards; the second call of a submodule is ``name#2``.

    The user's module is called by the empty name; its class has its Python module before it.
    """
    found = []
    for key, (path, kind) in (node.meta.get("nn_module_stack") or {}).items():
        _, at, again = key.rpartition("@")
        count = f"#{int(again) + 1}" if at and again.isdigit() else ""
        name = path.partition("@")[0].removeprefix(MODULE).removeprefix(".")
        found.append((name + count, str(kind)))
    return found


def stage_of(node: Node, stages: Collection[str]) -> str:
    """The innermost of ``stages`` that ``node`` is part of; empty: none."""
    inside = [name for name, _ in module_stack(node) if name in stages]
    return inside[-1] if inside else ""


def stages_of(node: Node) -> set[str]:
    """Every call that ``node`` is part of."""
    return {name for name, _ in module_stack(node)}
