"""``product(x, W)`` -> ``product(x, DequantizeLinear(int8 W, scale))``: weights alone in int8.

Symmetric, one scale an output channel or one a weight, rounded as ai-edge-quantizer rounds
the weights of a .tflite file: both formats hold the same integers. Refused for what stays
in float32, for a weight that is computed, and for one of fewer than two dimensions.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from tinyml.export.integer_ends import DEQUANTIZE, DEQUANTIZED
from tinyml.export.operators import WEIGHT, onnx_weight
from tinyml.spec import Array

LEVELS = 127
# ai-edge-quantizer's smallest magnitude: a channel without weights still has a scale.
SMALLEST = 1e-9


def weights_to_int8(model: Any, kept: Collection[str], *, per_channel: bool = True) -> int:
    """Change the ``onnx.ModelProto``, but for the operators ``kept``, by their first output.

    Returns the number of weights that are stored in int8 now.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    made: dict[tuple[str, int | None], str] = {}
    for node in list(model.graph.node):
        name = onnx_weight(node, stored)
        if not name or node.output[0] in kept:
            continue
        axis = channel_axis(node, len(stored[name].dims)) if per_channel else None
        if (name, axis) not in made:
            again = any(name == other for other, _ in made)
            made[name, axis] = _store(model, stored[name], axis, f"_{axis}" if again else "")
        node.input[WEIGHT] = made[name, axis]
    _drop_unread(model, {name for name, _ in made})
    return len(made)


def channel_axis(node: Any, rank: int) -> int:
    """Where the output channels of a product's weight of ``rank`` dimensions lie."""
    if node.op_type == "Gemm":
        return 0 if any(own.name == "transB" and own.i for own in node.attribute) else 1
    return {"Conv": 0, "ConvTranspose": 1, "MatMul": rank - 1}[str(node.op_type)]


def rounded(weight: Array, axis: int | None) -> tuple[Array, Array]:
    """(int8 values, float32 scales: one for each place along ``axis``, or a single one)."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    largest = np.maximum(np.abs(weight).max(axis=others, keepdims=True), np.float32(SMALLEST))
    scale = largest / np.float32(LEVELS)
    values = np.clip(np.rint(weight / scale), -LEVELS, LEVELS).astype(np.int8)
    return values, scale.reshape(-1) if axis is not None else scale.reshape(())


def _store(model: Any, tensor: Any, axis: int | None, again: str) -> str:
    """The float32 value of ``tensor`` in int8; ``again``: tells apart a second such value."""
    import onnx

    values, scale = rounded(onnx.numpy_helper.to_array(tensor), axis)
    base = f"{tensor.name}{again}"
    names = [f"{base}_quantized", f"{base}_scale"]
    for array, name in zip((values, scale), names, strict=True):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    output = f"{base}{DEQUANTIZED}"
    node = onnx.helper.make_node(DEQUANTIZE, names, [output])
    if axis is not None:
        node.attribute.append(onnx.helper.make_attribute("axis", axis))
    model.graph.node.insert(0, node)
    return output


def _drop_unread(model: Any, names: Collection[str]) -> None:
    """A float weight goes unless something else reads it, or the graph gives it out."""
    read = {name for node in model.graph.node for name in node.input}
    read |= {value.name for value in model.graph.output}
    gone = set(names) - read
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in gone]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
