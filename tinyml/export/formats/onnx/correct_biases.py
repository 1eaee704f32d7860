"""``Conv(x, w, b)`` -> ``Conv(x, w, b - shift)``, and what the shift is measured with.

Of an ``onnx.ModelProto`` in float32; `tinyml.export.formats.tflite.correct_biases` does the same to
its format. Also ``Gemm``. Refused where the weight or the bias is no stored float32, and
where Gemm scales them; a ``MatMul`` has no bias of 32 bits to take the shift.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyml.core.spec import Array
from tinyml.export.quantization.adaptive_rounding import Product, Window
from tinyml.export.quantization.weight_rounding import rounding_error

# Where a product's output has its channels.
CHANNEL_AXIS = 1


@dataclass(frozen=True, slots=True)
class _Layer:
    """A product; ``axis``: of its weight's output channels; ``bias``: [channels]."""

    node: Any
    weight: Array
    axis: int
    bias: Array

    @property
    def output(self) -> str:
        return str(self.node.output[0])


def with_rounding_errors(data: bytes, scales: str) -> tuple[bytes, dict[str, str]]:
    """The file with one more layer beside each, and what those compute: (W_q - W) x.

    W_q is W in eight bits, ``scales`` ``per-channel`` or ``per-tensor``. Names of the new
    tensors are by those of the layers' outputs.
    """
    import onnx

    model, found = onnx.load_from_string(data), {}
    for layer in list(_layers(model)):
        name = found[layer.output] = f"{layer.output}~error"
        error = rounding_error(layer.weight, layer.axis, scales)
        beside = model.graph.node.add()
        beside.CopyFrom(layer.node)
        beside.name = name
        del beside.input[1:], beside.output[:]
        beside.input.append(_stored(model, f"{layer.output}~weight_error", error))
        beside.output.append(name)
    return bytes(model.SerializeToString(deterministic=True)), found


def with_rounded_weights(
    data: bytes, scales: str, shifts: Mapping[str, Array], *, corrected: bool
) -> bytes:
    """The file, still in float32, with W_q for W in the layers of ``shifts``."""
    import onnx

    model = onnx.load_from_string(data)
    layers = [layer for layer in _layers(model) if layer.output in shifts]
    errors = ((own, rounding_error(own.weight, own.axis, scales)) for own in layers)
    set_weights(model, {own.output: own.weight + error for own, error in errors})
    if corrected:
        correct_biases(model, shifts)
    return bytes(model.SerializeToString(deterministic=True))


def correct_biases(model: Any, shifts: Mapping[str, Array]) -> int:
    """Subtract ``shifts``, [channels] by layer's output, from the biases; returns how many."""
    layers = [layer for layer in _layers(model) if layer.output in shifts]
    before = {name for layer in layers for name in layer.node.input[2:]}
    for layer in layers:
        bias = np.asarray(layer.bias - shifts[layer.output], np.float32)
        del layer.node.input[2:]
        layer.node.input.append(_stored(model, f"{layer.output}~bias", bias))
    _drop_unread(model, before)
    return len(layers)


def set_weights(model: Any, weights: Mapping[str, Array]) -> None:
    """Other values for the weights of the layers, by output, that ``weights`` names."""
    layers = [layer for layer in _layers(model) if layer.output in weights]
    before = {layer.node.input[1] for layer in layers}
    for layer in layers:
        layer.node.input[1] = _stored(model, f"{layer.output}~weight", weights[layer.output])
    _drop_unread(model, before)


def products(data: bytes) -> Iterator[Product]:
    """The file's convolutions over rows and columns, and its linear layers."""
    import onnx

    for layer in _layers(onnx.load_from_string(data)):
        told = {own.name: onnx.helper.get_attribute_value(own) for own in layer.node.attribute}
        named = (layer.output, layer.node.input[0], layer.weight)
        if layer.node.op_type == "Gemm":
            axes = (layer.axis, 1 - layer.axis)
            yield Product(*named, axes, 1, channels=1, window=None)
        elif layer.weight.ndim == 4 and told.get("auto_pad", b"NOTSET") == b"NOTSET":
            top, left, bottom, right = told.get("pads", (0, 0, 0, 0))
            window = Window(
                kernel=layer.weight.shape[2:],
                strides=tuple(told.get("strides", (1, 1))),
                dilations=tuple(told.get("dilations", (1, 1))),
                pads=((top, bottom), (left, right)),
            )
            yield Product(*named, (0, 1, 2, 3), told.get("group", 1), channels=1, window=window)


def _drop_unread(model: Any, names: Collection[str]) -> None:
    read = {name for node in model.graph.node for name in node.input}
    for tensor in [t for t in model.graph.initializer if t.name in set(names) - read]:
        model.graph.initializer.remove(tensor)


def _stored(model: Any, name: str, values: Array) -> str:
    import onnx

    model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return name


def _layers(model: Any) -> Iterator[_Layer]:
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        axis = _output_axis(node)
        operands = [stored.get(name) for name in node.input[1:3] if name]
        if axis is None or not all(_is_float32(operand) for operand in operands):
            continue
        weight, *bias = (_array(operand) for operand in operands)
        offsets = bias[0] if bias else np.zeros(1, np.float32)
        yield _Layer(node, weight, axis, np.broadcast_to(offsets, weight.shape[axis]))


def _output_axis(node: Any) -> int | None:
    """Of the weight's output channels; ``None``: no layer, or a Gemm that does more than add."""
    import onnx

    if node.op_type == "Conv":
        return 0
    told = {own.name: onnx.helper.get_attribute_value(own) for own in node.attribute}
    scaled = told.get("alpha", 1.0) != 1.0 or told.get("beta", 1.0) != 1.0
    if node.op_type != "Gemm" or scaled or told.get("transA", 0):
        return None
    return 0 if told.get("transB", 0) else 1


def _is_float32(tensor: Any) -> bool:
    import onnx

    return tensor is not None and tensor.data_type == onnx.TensorProto.FLOAT


def _array(tensor: Any) -> Array:
    import onnx

    return np.asarray(onnx.numpy_helper.to_array(tensor))
