"""``attention(q, k, v, mask of booleans)`` -> ``attention(q, k, v, numbers) * any(mask)``.

PyTorch answers zero for a query that may look at nothing, as in a sequence that is all
padding. The files of both converters answer with something else (4000 times the tolerance in
a DistilBERT). Here a forbidden place gets -30000, which leaves an exact zero after
the softmax next to any score of a trained network, and is finite in half precision too;
queries without a place are then zeroed.

Refused without a mask, for masks of numbers, and for constant ones without an empty row.
"""

from __future__ import annotations

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.capture.constants import value_of
from tinyml.export.nodes import Writer, argument
from tinyml.export.outcome import Outcome

FIRES_IN = "hf-distilbert"

_aten = torch.ops.aten
FORBIDDEN = -3e4


def zero_masked_rows(program: ExportedProgram, stages: dict[str, str | None]) -> Outcome:
    """Make the masks of attentions numbers."""
    attention = _aten.scaled_dot_product_attention.default
    found = [node for node in program.graph.nodes if node.target is attention]
    refused = {node.name: why for node in found if (why := _why_not(program, node))}
    for node in found:
        if node.name not in refused:
            _replace(program, node)
    return Outcome(len(found) - len(refused), refused)


def _why_not(program: ExportedProgram, node: Node) -> str:
    mask = argument(node, 3, "attn_mask", None)
    if mask is None:
        return "it has no mask"
    if mask.meta["val"].dtype != torch.bool:
        return "its mask is of numbers"
    constant = value_of(program, mask)
    whole = constant is not None and bool(constant.any(-1).all())
    return "its mask leaves every query a place" if whole else ""


def _replace(program: ExportedProgram, node: Node) -> None:
    write, mask = Writer(program, node), argument(node, 3, "attn_mask", None)
    query = node.args[0]
    assert isinstance(query, Node)
    allowed = write.call(_aten.to.dtype, mask, query.meta["val"].dtype)
    forbidden = write.call(_aten.rsub.Scalar, allowed, 1.0)
    numbers = write.call(_aten.mul.Tensor, forbidden, FORBIDDEN)
    attended = write.call(node.target, *node.args[:3], numbers, *node.args[4:], **_others(node))
    some = write.call(_aten.amax.default, allowed, [-1], True)
    write.replace(write.call(_aten.mul.Tensor, attended, some))


def _others(node: Node) -> dict[str, object]:
    return {name: value for name, value in node.kwargs.items() if name != "attn_mask"}
