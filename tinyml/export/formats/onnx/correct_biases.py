"""``Conv(x, w, b)`` -> ``Conv(x, w, b - shift)``, and what the shift is measured with.

Of an ``onnx.ModelProto`` in float32; `tinyml.export.formats.tflite.correct_biases` does the same to
its format. Also ``Gemm``. Refused where the weight or the bias is no stored float32, and
where Gemm scales them; a ``MatMul`` has no bias of 32 bits to take the shift.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinyml.core.spec import Array
from tinyml.export.quantization.adaptive_rounding import Product, Window
from tinyml.export.quantization.weight_rounding import rounding_error
from tinyml.modelfile.float_layers import EditedLayer, float_layers
from tinyml.modelfile.graph import Operator
from tinyml.modelfile.onnx_edit import add_initializer, drop_unread
from tinyml.modelfile.onnx_graph import graph_of_onnx
from tinyml.modelfile.ops import MATRIX, ONNX

# Where a product's output has its channels.
CHANNEL_AXIS = ONNX["Conv"].channels


def unpack(data: bytes) -> Any:
    """The ``onnx.ModelProto`` in a file's bytes."""
    import onnx

    return onnx.load_from_string(data)


def pack(model: Any) -> bytes:
    """The file's bytes; the same model gives the same."""
    return bytes(model.SerializeToString(deterministic=True))


def with_rounding_errors(data: bytes, scales: str) -> tuple[bytes, dict[str, str]]:
    """The file with one more layer next to each, and what those compute: (W_q - W) x.

    W_q is W in eight bits, ``scales`` ``per-channel`` or ``per-tensor``. Names of the new
    tensors are by those of the layers' outputs.
    """
    model, found = unpack(data), {}
    for layer in list(bias_layers(model)):
        name = found[layer.output] = f"{layer.output}~error"
        error = rounding_error(layer.weight, layer.axis, scales)
        extra = model.graph.node.add()
        extra.CopyFrom(layer.stored)
        extra.name = name
        del extra.input[1:], extra.output[:]
        extra.input.append(add_initializer(model, f"{layer.output}~weight_error", error))
        extra.output.append(name)
    return pack(model), found


def correct_biases(model: Any, shifts: Mapping[str, Array]) -> int:
    """Subtract ``shifts``, [channels] by layer's output, from the biases; returns how many."""
    layers = [layer for layer in bias_layers(model) if layer.output in shifts]
    before = {name for layer in layers for name in layer.stored.input[2:]}
    for layer in layers:
        bias = np.asarray(layer.bias - shifts[layer.output], np.float32)
        del layer.stored.input[2:]
        layer.stored.input.append(add_initializer(model, f"{layer.output}~bias", bias))
    drop_unread(model, before)
    return len(layers)


def set_weights(model: Any, weights: Mapping[str, Array]) -> None:
    """Other values for the weights of the layers, by output, that ``weights`` names."""
    layers = [layer for layer in bias_layers(model) if layer.output in weights]
    before = {layer.stored.input[1] for layer in layers}
    for layer in layers:
        name = f"{layer.output}~weight"
        layer.stored.input[1] = add_initializer(model, name, weights[layer.output])
    drop_unread(model, before)


def products(data: bytes) -> Iterator[Product]:
    """The file's convolutions over rows and columns, and its linear layers."""
    for layer in bias_layers(unpack(data)):
        attributes = layer.found.operator.attributes
        named = (layer.output, layer.found.source, layer.weight, layer.found.axes)
        if layer.found.traits.kind == MATRIX:
            yield Product(*named, 1, channels=1, window=None)
        elif layer.weight.ndim == 4 and attributes.get("auto_pad", b"NOTSET") == b"NOTSET":
            top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
            window = Window(
                kernel=layer.weight.shape[2:],
                strides=tuple(attributes.get("strides", (1, 1))),
                dilations=tuple(attributes.get("dilations", (1, 1))),
                pads=((top, bottom), (left, right)),
            )
            yield Product(*named, attributes.get("group", 1), channels=1, window=window)


def bias_layers(model: Any) -> Iterator[EditedLayer]:
    """Those whose biases can be corrected."""
    nodes = {node.output[0]: node for node in model.graph.node}
    for own in float_layers(graph_of_onnx(model)):
        if _only_adds(own.operator):
            offsets = np.zeros(1, np.float32) if own.bias is None else own.bias
            bias = np.broadcast_to(offsets, own.weight.shape[own.traits.outputs])
            yield EditedLayer(nodes[own.output], own, bias)


def _only_adds(operator: Operator) -> bool:
    """Not a Gemm that scales its operands, or takes the first one transposed."""
    given = operator.attributes
    scaled = given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0
    return operator.op != "Gemm" or not (scaled or given.get("transA", 0))
