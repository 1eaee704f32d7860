"""``f(constants)`` -> a constant; an identity -> its operand.

onnxscript's constant folder alone, which evaluates and does not simplify: ``x + 1e-10``
has an operand that is no constant and stays. Results above onnxscript's size limits
stay computed.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from tinyml.export.outcome import Outcome

FIRES_IN = "small"


def fold_constants(model: ir.Model) -> Outcome:
    """Return the number of computing nodes that went."""
    from onnxscript import optimizer

    before = _computing(model)
    optimizer.fold_constants(model)
    RemoveUnusedNodesPass()(model)
    return Outcome(before - _computing(model))


def _computing(model: ir.Model) -> int:
    return sum(node.op_type != "Constant" for node in model.graph)
