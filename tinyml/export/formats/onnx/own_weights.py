"""A weight that several operators multiply by -> a copy for each, before it becomes integers.

Asked for exact sums (``session.x64quantprecision``), onnxruntime 1.32 makes an unsigned copy of
each int8 weight and of its zero point when it loads a file, under names made of theirs: a second
operator on the same weight, as in a siamese network, makes the same names, and the file is refused.
Its quantizer gives each operator a bias, since that has the scale of what the operator reads.

Operators in ``kept`` go on sharing: their weights stay float32.

The file holds the integers once all the same: `share_integers` makes each copy a Reshape of the
first to its own shape, which onnxruntime computes when it loads the file, under the copy's name.
It would drop an Identity, and with it the name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tinyml.export.formats.onnx.weights_to_int8 import INTEGERS
from tinyml.modelfile.onnx_edit import add_initializer
from tinyml.modelfile.onnx_graph import graph_of_onnx
from tinyml.modelfile.ops import PRODUCTS

# About the bytes of a Reshape, its shape and its names.
LEAST_SHARED = 256


def own_weights(model: Any, kept: Collection[str]) -> dict[str, str]:
    """Change the ``onnx.ModelProto``; ``kept``: by first output. Returns copy -> its original."""
    nodes = {node.output[0]: node for node in model.graph.node}
    seen: set[str] = set()
    copies: dict[str, str] = {}
    for operator, traits, weight in graph_of_onnx(model).layers():
        is_product = operator.op in PRODUCTS and operator.weight and weight.constant is not None
        if not is_product or operator.name in kept:
            continue
        if operator.weight in seen:
            assert weight.constant is not None
            name = add_initializer(model, f"{operator.name}~weight", weight.constant())
            nodes[operator.name].input[traits.weight] = name
            copies[name] = operator.weight
        seen.add(operator.weight)
    return copies


def share_integers(model: Any, copies: Mapping[str, str]) -> int:
    """Store the integers of `own_weights`'s ``copies`` once; returns how many share.

    Not where they differ, nor where a copy has fewer bytes than the operator that shares it.
    """
    import onnx

    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    shared = 0
    for copy, original in copies.items():
        # The quantizer of a Gemm transposes its weight, and says so in the name.
        ends = (INTEGERS, f"_Transposed{INTEGERS}")
        found = [end for end in ends if f"{copy}{end}" in stored and f"{original}{end}" in stored]
        if not found:
            continue
        own, first = (stored[f"{name}{found[0]}"] for name in (copy, original))
        if not _is_worth_sharing(own, first):
            continue
        model.graph.initializer.remove(own)
        shape = add_initializer(model, f"{own.name}~shape", np.array(own.dims, np.int64))
        reshape = onnx.helper.make_node("Reshape", [first.name, shape], [own.name])
        model.graph.node.insert(0, reshape)
        shared += 1
    return shared


def _is_worth_sharing(own: Any, first: Any) -> bool:
    from onnx.numpy_helper import to_array

    values = to_array(own)
    same = own.data_type == first.data_type and np.array_equal(values, to_array(first))
    return same and values.nbytes >= LEAST_SHARED
