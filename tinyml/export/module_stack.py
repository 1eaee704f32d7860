"""Which calls of which submodules a node of a captured graph is part of."""

from __future__ import annotations

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
