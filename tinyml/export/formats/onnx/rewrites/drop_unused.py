"""Nodes and constants that no output depends on -> nothing.

Graph inputs stay, used or not: they are the signature's.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedNodesPass

from tinyml.export.outcome import Outcome

FIRES_IN = "small"


def drop_unused(model: ir.Model) -> Outcome:
    """Return the number of nodes and constants removed; constants become initializers."""
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    before = len(model.graph) + len(model.graph.initializers)
    RemoveUnusedNodesPass()(model)
    return Outcome(before - len(model.graph) - len(model.graph.initializers))
