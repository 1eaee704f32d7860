"""``product(x, W)`` -> ``product(x, DequantizeLinear(int8 W, scale))``: weights alone in int8.

Symmetric, one scale an output channel or one a weight, rounded as ai-edge-quantizer rounds
the weights of a .tflite file: both formats hold the same integers. Refused for what stays
in float32, for a weight that is computed, and for one of fewer than two dimensions.

A matrix is stored with its output channels first and read through a Transpose, which
onnxruntime makes part of the product. The plain pair is not left alone: onnxruntime 1.32
computes ``MatMul(x, DequantizeLinear(W))``, and Gemm of the same, with x in eight bits too
(``MatMulNBits``), and only with optimisations on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from tinyml.export.integer_ends import DEQUANTIZE, DEQUANTIZED
from tinyml.export.operators import WEIGHT, onnx_weight
from tinyml.export.weight_rounding import rounded


def weights_to_int8(model: Any, kept: Collection[str], *, per_channel: bool = True) -> int:
    """Change the ``onnx.ModelProto``, but for the operators ``kept``, by their first output.

    Returns the number of weights that are stored in int8 now.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    made: dict[tuple[str, int], str] = {}
    for place, node in reversed(list(enumerate(model.graph.node))):
        name = onnx_weight(node, stored)
        if not name or node.output[0] in kept:
            continue
        rank = len(stored[name].dims)
        axis = channel_axis(node, rank)
        again = f"_{axis}" if any(name == other for other, _ in made) else ""
        base = made.setdefault((name, axis), f"{name}{again}")
        node.input[WEIGHT] = f"{base}{DEQUANTIZED}"
        if (rank, axis) == (2, 1):
            _read_by_rows(model, node, place)
    for (name, axis), base in made.items():
        _store(model, stored[name], axis, base, per_channel=per_channel)
    _drop_unread(model, {name for name, _ in made})
    return len(made)


def channel_axis(node: Any, rank: int) -> int:
    """Where the output channels of a product's weight of ``rank`` dimensions lie."""
    if node.op_type == "Gemm":
        return 0 if any(own.name == "transB" and own.i for own in node.attribute) else 1
    return {"Conv": 0, "ConvTranspose": 1, "MatMul": rank - 1}[str(node.op_type)]


def _read_by_rows(model: Any, node: Any, place: int) -> None:
    """``node``, at ``place``, takes its matrix with the output channels first."""
    import onnx

    if node.op_type == "Gemm":
        others = [own for own in node.attribute if own.name != "transB"]
        del node.attribute[:]
        node.attribute.extend([*others, onnx.helper.make_attribute("transB", 1)])
        return
    name = f"{node.output[0]}~weight"
    turned = onnx.helper.make_node("Transpose", [node.input[WEIGHT]], [name], perm=[1, 0])
    node.input[WEIGHT] = name
    model.graph.node.insert(place, turned)


def _store(model: Any, tensor: Any, axis: int, base: str, *, per_channel: bool) -> None:
    """The float32 value of ``tensor`` in int8, under names that begin with ``base``."""
    import onnx

    weight = onnx.numpy_helper.to_array(tensor)
    if (weight.ndim, axis) == (2, 1):
        weight, axis = np.ascontiguousarray(weight.T), 0
    values, scale = rounded(weight, axis if per_channel else None)
    names = [f"{base}_quantized", f"{base}_scale"]
    for array, name in zip((values, scale), names, strict=True):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    node = onnx.helper.make_node(DEQUANTIZE, names, [f"{base}{DEQUANTIZED}"])
    if per_channel:
        node.attribute.append(onnx.helper.make_attribute("axis", axis))
    model.graph.node.insert(0, node)


def _drop_unread(model: Any, names: Collection[str]) -> None:
    """A float weight goes unless something else reads it, or the graph gives it out."""
    read = {name for node in model.graph.node for name in node.input}
    read |= {value.name for value in model.graph.output}
    gone = set(names) - read
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in gone]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
