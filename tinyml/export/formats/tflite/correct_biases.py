"""``CONV_2D(x, w, b)`` -> ``CONV_2D(x, w, b - shift)``, and what the shift is measured with.

Of a ``schema.ModelT`` in float32; `tinyml.export.formats.onnx.correct_biases` does the same to its
format. Also ``DEPTHWISE_CONV_2D`` and ``FULLY_CONNECTED``. Refused where the weight or the
bias is no stored float32.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinyml.core.spec import Array
from tinyml.export.quantization.adaptive_rounding import Product, Window
from tinyml.export.quantization.weight_rounding import rounding_error
from tinyml.modelfile import tflite_file
from tinyml.modelfile.float_layers import EditedLayer, float_layers
from tinyml.modelfile.ops import MATRIX, TFLITE
from tinyml.modelfile.tflite_edit import add_computed, add_constant, shape_of
from tinyml.modelfile.tflite_graph import graph_of_tflite

# Where a product's output has its channels.
CHANNEL_AXIS = TFLITE["CONV_2D"].channels


def unpack(data: bytes) -> Any:
    """The ``schema.ModelT`` in a file's bytes."""
    return tflite_file.unpack(data)


def pack(model: Any) -> bytes:
    """The file's bytes; the same model gives the same."""
    return tflite_file.pack(model)


def with_rounding_errors(data: bytes, scales: str) -> tuple[bytes, dict[str, str]]:
    """The file with one more layer next to each, and what those compute: (W_q - W) x.

    W_q is W in eight bits, ``scales`` ``per-channel`` or ``per-tensor``. Names of the new
    tensors are by those of the layers' outputs. No activation is built into the new layers.
    """
    model, found = unpack(data), {}
    for layer in list(bias_layers(model)):
        name = found[layer.output] = f"{layer.output}~error"
        error = rounding_error(layer.weight, layer.axis, scales)
        extra = copy.copy(layer.stored)
        extra.builtinOptions = copy.copy(layer.stored.builtinOptions)
        extra.builtinOptions.fusedActivationFunction = 0
        weight = add_constant(model, f"{layer.output}~weight_error", error)
        nothing = add_constant(model, f"{layer.output}~no_bias", np.zeros_like(layer.bias))
        extra.inputs = np.array([int(layer.stored.inputs[0]), weight, nothing], np.int32)
        made = int(layer.stored.outputs[0])
        extra.outputs = np.array([add_computed(model, made, name, shape_of(model, made))], np.int32)
        model.subgraphs[0].operators.append(extra)
    return pack(model), found


def correct_biases(model: Any, shifts: Mapping[str, Array]) -> int:
    """Subtract ``shifts``, [channels] by layer's output, from the biases; returns how many."""
    layers = [layer for layer in bias_layers(model) if layer.output in shifts]
    for layer in layers:
        bias = np.asarray(layer.bias - shifts[layer.output], np.float32)
        _set_operand(model, layer.stored, layer.found.traits.bias, f"{layer.output}~bias", bias)
    return len(layers)


def set_weights(model: Any, weights: Mapping[str, Array]) -> None:
    """Other values for the weights of the layers, by output, that ``weights`` names."""
    for layer in [layer for layer in bias_layers(model) if layer.output in weights]:
        name = f"{layer.output}~weight"
        _set_operand(model, layer.stored, layer.found.traits.weight, name, weights[layer.output])


def products(data: bytes) -> Iterator[Product]:
    """The file's convolutions and linear layers."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(data)
    for layer in bias_layers(model):
        source, axes = int(layer.stored.inputs[0]), layer.found.axes
        named = (layer.output, layer.found.source, layer.weight, axes)
        if layer.found.traits.kind == MATRIX:
            yield Product(*named, groups=1, channels=-1, window=None)
            continue
        own = layer.stored.builtinOptions
        window = Window(
            kernel=layer.weight.shape[1:3],
            strides=(own.strideH, own.strideW),
            dilations=(own.dilationHFactor, own.dilationWFactor),
            pads="same" if own.padding == schema.Padding.SAME else ((0, 0), (0, 0)),
        )
        groups = shape_of(model, source)[-1] // layer.weight.shape[axes[1]]
        yield Product(*named, groups=groups, channels=-1, window=window)


def _set_operand(model: Any, operator: Any, place: int | None, name: str, values: Array) -> None:
    """A new constant in ``place``, where the one before it was in the file if none reads that."""
    assert place is not None
    (graph,) = model.subgraphs
    before = [int(i) for i in operator.inputs]
    made = add_constant(model, name, values)
    operator.inputs = np.array([*before[:place], made, *before[place + 1 :]], np.int32)
    old = before[place] if len(before) > place else -1
    if old < 0 or any(old in map(int, own.inputs) for own in graph.operators):
        return
    gone, graph.tensors[old] = graph.tensors[old], graph.tensors.pop()
    operator.inputs[place] = old
    if all(own.buffer != gone.buffer for own in graph.tensors):
        model.buffers[gone.buffer].data = None


def bias_layers(model: Any) -> Iterator[EditedLayer]:
    """Those whose biases can be corrected."""
    graph = graph_of_tflite(model)
    pairs = zip(graph.operators, model.subgraphs[0].operators, strict=True)
    schema_operators = {operator.name: own for operator, own in pairs}
    for own in float_layers(graph):
        channels = own.weight.shape[own.traits.outputs]
        bias = np.zeros(channels, np.float32) if own.bias is None else own.bias
        yield EditedLayer(schema_operators[own.output], own, bias)
