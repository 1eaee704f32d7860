"""``dropout(x)`` in eval mode -> ``x``.

Refused where it is the graph's output, whose name it carries, and in training mode.
"""

from __future__ import annotations

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.outcome import Outcome

FIRES_IN = "ds-cnn"

_DROPOUTS = (torch.ops.aten.dropout.default, torch.ops.aten.feature_dropout.default)


def drop_dropout(program: ExportedProgram, stages: dict[str, str | None]) -> Outcome:
    """Remove dropouts; a stage that was one becomes its operand."""
    removed, refused = 0, {}
    for node in list(program.graph.nodes):
        if node.target not in _DROPOUTS:
            continue
        if node.args[2] or _is_output(node):
            refused[node.name] = "training mode" if node.args[2] else "it is an output"
            continue
        kept = node.args[0]
        node.replace_all_uses_with(kept)
        stages.update({s: kept.name for s, held in stages.items() if held == node.name})
        program.graph.erase_node(node)
        removed += 1
    return Outcome(removed, refused)


def _is_output(node: Node) -> bool:
    return any(user.op == "output" for user in node.users)
