"""A tensor or operator code that no operator refers to -> none.

Other rewrites leave them behind: the quantizer of a float tensor whose operators read a copy
of it, sparse storage, an operator that became another. A dense float constant that nothing
reads is most of a file whose layers stay in float. `share_buffers` drops the bytes.

Inputs and outputs of the graph stay, used or not: they are the signature's. Refused for files
with several subgraphs, whose operators may refer to tensors of one another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyml.core.spec import Array
from tinyml.export.outcome import Outcome

FIRES_IN = "unread constant"


def drop_unused(model: Any) -> Outcome:
    """Remove tensors; the others keep their order."""
    if len(model.subgraphs) != 1:
        return Outcome(0, {"": "the file has several subgraphs"})
    (graph,) = model.subgraphs
    used = {int(i) for own in (graph.inputs, graph.outputs) for i in own}
    for operator in graph.operators:
        operands = (operator.inputs, operator.outputs, operator.intermediates)
        used |= {int(i) for own in operands if own is not None for i in own}
    kept = sorted(used - {-1})
    place = {old: new for new, old in enumerate(kept)} | {-1: -1}
    removed = len(graph.tensors) - len(kept)
    graph.tensors = [graph.tensors[old] for old in kept]
    graph.inputs, graph.outputs = _moved(graph.inputs, place), _moved(graph.outputs, place)
    for operator in graph.operators:
        operator.inputs = _moved(operator.inputs, place)
        operator.outputs = _moved(operator.outputs, place)
        operator.intermediates = _moved(operator.intermediates, place)
    for signature in model.signatureDefs or ():
        for end in (*signature.inputs, *signature.outputs):
            end.tensorIndex = place[int(end.tensorIndex)]
    _drop_codes(model, graph)
    return Outcome(removed)


def _moved(indices: Any, place: dict[int, int]) -> Array | None:
    return None if indices is None else np.array([place[int(i)] for i in indices], np.int32)


def _drop_codes(model: Any, graph: Any) -> None:
    kept = sorted({int(operator.opcodeIndex) for operator in graph.operators})
    model.operatorCodes = [model.operatorCodes[old] for old in kept]
    place = {old: new for new, old in enumerate(kept)}
    for operator in graph.operators:
        operator.opcodeIndex = place[int(operator.opcodeIndex)]
