"""``f(constants)`` -> a constant; an identity -> its operand.

onnxscript's constant folder, which evaluates and does not simplify: ``x + 1e-10`` has an operand
that is no constant and stays. Results above onnxscript's size limits stay computed.

It leaves operators of several outputs, so that a ``Split`` of a constant is folded here: PyTorch
splits the weight of an attention between two sequences. Quantized, both halves would be read
from one weight, which onnxruntime 1.32 refuses to load for exact sums.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.convenience import get_const_tensor, replace_all_uses_with
from onnx_ir.passes.common import RemoveUnusedNodesPass

from tinyml.export.outcome import Outcome

FIRES_IN = "small"


def fold_constants(model: ir.Model) -> Outcome:
    """Return the number of computing nodes that went."""
    from onnxscript import optimizer

    before = _computing(model)
    optimizer.fold_constants(model)  # the sizes of a split may be computed
    splits = [node for node in model.graph if node.op_type == "Split"]
    for node in splits:
        _fold_split(node)
    if splits:
        optimizer.fold_constants(model)
    RemoveUnusedNodesPass()(model)
    return Outcome(before - _computing(model))


def _computing(model: ir.Model) -> int:
    return sum(node.op_type != "Constant" for node in model.graph)


def _fold_split(node: ir.Node) -> None:
    """A constant for each output of ``node``, if it splits one at fixed sizes."""
    graph, (data, where) = node.graph, (*node.inputs, None)[:2]
    whole, sizes = (None if own is None else get_const_tensor(own) for own in (data, where))
    if whole is None or sizes is None or graph is None:
        return
    places = np.cumsum(sizes.numpy())[:-1]
    parts = np.split(whole.numpy(), places, axis=node.attributes.get_int("axis", 0))
    for output, part in zip(node.outputs, parts, strict=True):
        tensor = ir.tensor(np.ascontiguousarray(part), name=f"{output.name}~part")
        constant = ir.Value(
            name=tensor.name, shape=output.shape, type=output.type, const_value=tensor
        )
        graph.register_initializer(constant)
        replace_all_uses_with(output, constant)
