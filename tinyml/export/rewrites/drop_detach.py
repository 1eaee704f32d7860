"""``detach_(x)`` -> ``x``.

``torch.tensor(...)`` inside of a forward is captured as a constant that is detached in place. A
file has no gradients, and LiteRT's converter refuses to detach a view.
"""

from __future__ import annotations

import torch
from torch.fx import Graph

from tinyml.export.outcome import Outcome


def drop_detach(graph: Graph) -> Outcome:
    """Return the number of nodes that were dropped."""
    found = [node for node in graph.nodes if node.target is torch.ops.aten.detach_.default]
    for node in found:
        node.replace_all_uses_with(node.args[0])
        graph.erase_node(node)
    return Outcome(len(found))
