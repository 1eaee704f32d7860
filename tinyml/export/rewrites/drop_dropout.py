"""``dropout(x)`` in eval mode -> ``x``.

Refused where it is the graph's output, whose name it carries, and in training mode.
"""

from __future__ import annotations

import torch
from torch.export import ExportedProgram
from torch.fx import Node

FIRES_IN = "ds-cnn"

_DROPOUTS = (torch.ops.aten.dropout.default, torch.ops.aten.feature_dropout.default)


def drop_dropout(program: ExportedProgram, stages: dict[str, str | None]) -> int:
    """Return the number of dropouts removed; a stage that was one becomes its operand."""
    removed = 0
    for node in list(program.graph.nodes):
        if node.target not in _DROPOUTS or node.args[2] or _is_output(node):
            continue
        kept = node.args[0]
        node.replace_all_uses_with(kept)
        stages.update({s: kept.name for s, held in stages.items() if held == node.name})
        program.graph.erase_node(node)
        removed += 1
    return removed


def _is_output(node: Node) -> bool:
    return any(user.op == "output" for user in node.users)
