"""``product(x, W)`` -> ``product(x, Mul(Cast(int8 W), scale))``: weights alone in int8.

Symmetric, one scale an output channel or one a weight, rounded as ai-edge-quantizer rounds
the weights of a .tflite file: both formats hold the same integers. Refused for what stays
in float32, for a weight that is computed, and for one of fewer than two dimensions.

Not DequantizeLinear, which gives the same floats: onnxruntime 1.32 keeps that for operators of
integers and so makes the float weight anew at each call, and it computes
``MatMul(x, DequantizeLinear(W))`` and Gemm of the same with x in eight bits too
(``MatMulNBits``), unasked. A Cast and a Mul of constants it folds when it loads the file.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tinyml.export.quantization.weight_rounding import rounded
from tinyml.modelfile.onnx_edit import add_initializer, drop_unread
from tinyml.modelfile.onnx_graph import graph_of_onnx

# Ends of the names of what stands for a weight.
INTEGERS, SCALES, CAST, FLOATS = "_quantized", "_scale", "_cast", "_floats"


def weights_to_int8(model: Any, kept: Collection[str], *, per_channel: bool = True) -> int:
    """Change the ``onnx.ModelProto``, but for the operators ``kept``, by their first output.

    Returns the number of weights that are stored in int8 now.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    layers = {
        operator.name: (operator.weight, traits)
        for operator, traits, _ in graph_of_onnx(model).layers()
        if operator.weight and operator.name not in kept
    }
    made: dict[tuple[str, int], str] = {}
    for node in reversed(model.graph.node):
        if node.output[0] not in layers:
            continue
        name, traits = layers[node.output[0]]
        axis = traits.outputs
        again = f"_{axis}" if any(name == other for other, _ in made) else ""
        base = made.setdefault((name, axis), f"{name}{again}")
        node.input[traits.weight] = f"{base}{FLOATS}"
    for (name, axis), base in made.items():
        _store(model, stored[name], axis, base, per_channel=per_channel)
    drop_unread(model, {name for name, _ in made})
    return len(made)


def _store(model: Any, tensor: Any, axis: int, base: str, *, per_channel: bool) -> None:
    """The float32 value of ``tensor`` in int8, under names that begin with ``base``."""
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.to_array(tensor)
    values, scale = rounded(weight, axis if per_channel else None)
    if not per_channel:
        scale = scale.reshape(())
    integers, scales, cast = (f"{base}{end}" for end in (INTEGERS, SCALES, CAST))
    for array, name in ((values, integers), (scale, scales)):
        add_initializer(model, name, array)
    to_float = helper.make_node("Cast", [integers], [cast], to=TensorProto.FLOAT)
    scaled = helper.make_node("Mul", [cast, scales], [f"{base}{FLOATS}"])
    model.graph.node.insert(0, scaled)
    model.graph.node.insert(0, to_float)
