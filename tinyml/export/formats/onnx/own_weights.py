"""A weight that several operators multiply by -> a copy for each, before it becomes integers.

Asked for exact sums (``session.x64quantprecision``), onnxruntime 1.32 makes an unsigned copy of
each int8 weight and of its zero point when it loads a file, under names made of theirs: a second
operator on the same weight, as in a siamese network, makes the same names, and the file is refused.
Its quantizer gives each operator a bias, since that has the scale of what the operator reads.

Operators in ``kept`` go on sharing: their weights stay float32.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tinyml.modelfile.onnx_edit import add_initializer
from tinyml.modelfile.onnx_graph import graph_of_onnx
from tinyml.modelfile.ops import PRODUCTS


def own_weights(model: Any, kept: Collection[str]) -> int:
    """Change the ``onnx.ModelProto``; ``kept``: by first output. Returns how many copies it has."""
    nodes = {node.output[0]: node for node in model.graph.node}
    seen: set[str] = set()
    copies = 0
    for operator, traits, weight in graph_of_onnx(model).layers():
        is_product = operator.op in PRODUCTS and operator.weight and weight.constant is not None
        if not is_product or operator.name in kept:
            continue
        if operator.weight in seen:
            assert weight.constant is not None
            name = add_initializer(model, f"{operator.name}~weight", weight.constant())
            nodes[operator.name].input[traits.weight] = name
            copies += 1
        seen.add(operator.weight)
    return copies
