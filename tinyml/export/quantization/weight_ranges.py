"""Ranges of weights whose own are too small for their bias, and of outputs too narrow for weights.

A bias is stored in 32 bits with the scale of the input times that of its channel's weights.
A channel that pruning left without weights has none to speak of: with a scale near zero its
bias saturates, with one chosen at random (onnxruntime takes 1) it is rounded to few values,
and the channel's answer with it. Zeros stay zeros at any scale, so such a channel is given
one that its bias fits.

The other way round, a channel that never answers may have weights without bounds: a
normalization divides by what it saw vary, which was nothing. XNNPACK refuses a file in which a
step of the sums, input times weight, is 256 steps of the output or more (its
``xnn_create_convolution2d_nhwc_qs8_qc8w``), so that the output gets a wider range there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyml.core.quant_params import step
from tinyml.core.spec import Array
from tinyml.export.onnx_weights import channel_axis
from tinyml.export.quantization.ranges import Range
from tinyml.modelfile import tflite_file

# Where a weight's output channels lie.
CHANNEL_AXIS = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": 3}
LEVELS = 127
# A power of two below 2^31: sums of products come on top of the bias.
LARGEST_BIAS = 2.0**30
# Steps of an output that a step of the sums may be, less what rounding in float32 may add.
LARGEST_STEP = 255.0


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with a bias: its tensors' names, and ``values`` of the weight with their axis.

    ``output`` is where its sums are rounded.
    """

    source: str
    output: str
    weight: str
    axis: int
    values: Array
    offsets: Array


def weight_ranges(
    layers: Iterable[Layer],
    activations: Mapping[str, Range],
    scales: str = "per-channel",
    dtype: str = "int8",
) -> dict[str, Array]:
    """Weight -> largest magnitude by channel, [1 .. channels .. 1]; only those that need one.

    ``scales`` ``per-tensor``: by weight, [1 .. 1]. ``dtype``: of ``activations``, whose finer
    steps in int16 leave a bias less room in its 32 bits.
    """
    found: dict[str, Array] = {}
    for layer in layers:
        within = activations.get(layer.source)
        if within is None:
            continue
        others = tuple(i for i in range(layer.values.ndim) if i != layer.axis)
        own: Array = np.abs(layer.values).max(axis=others, keepdims=True)
        finest = max(step(dtype, within.low, within.high), float(np.finfo(np.float32).tiny))
        least = (np.abs(layer.offsets) * LEVELS / (finest * LARGEST_BIAS)).reshape(own.shape)
        if scales == "per-tensor":
            own, least = own.max(keepdims=True), least.max(keepdims=True)
        if np.any(own < least):
            found[layer.weight] = np.maximum(own, least).astype(np.float32)
    return found


def output_ranges(
    layers: Iterable[Layer], activations: Mapping[str, Range], weights: Mapping[str, Array]
) -> dict[str, Range]:
    """Output -> a range that is wide enough for XNNPACK; only those that need another.

    ``weights``: largest magnitudes of those that `weight_ranges` widens.
    """
    found: dict[str, Range] = {}
    for layer in layers:
        within, own = activations.get(layer.source), activations.get(layer.output)
        if within is None or own is None:
            continue
        largest = float(np.abs(weights.get(layer.weight, layer.values)).max()) / LEVELS
        low, high = min(own.low, 0.0), max(own.high, 0.0)
        width = _width(within) * largest / LARGEST_STEP
        if high - low < width:
            stretch = width / max(high - low, float(np.finfo(np.float32).tiny))
            found[layer.output] = Range(low * stretch, high * stretch)
    return found


def _width(within: Range) -> float:
    """Of a range with zero in it, as integers have it."""
    return max(within.high, 0.0) - min(within.low, 0.0)


def layers_of_tflite(model: Any) -> Iterator[Layer]:
    """Every layer of a ``schema.ModelT`` with a float bias that is stored."""
    (graph,) = model.subgraphs
    for operator in graph.operators:
        op = tflite_file.operator_name(model.operatorCodes[operator.opcodeIndex])
        if op not in CHANNEL_AXIS or len(operator.inputs) < 3 or int(operator.inputs[2]) < 0:
            continue
        source, weight, bias = (graph.tensors[int(i)] for i in operator.inputs[:3])
        if is_stored(model, weight) and is_stored(model, bias):
            values, offsets = (tflite_file.array(model, t, np.float32) for t in (weight, bias))
            names = tflite_file.text(source.name), tflite_file.text(weight.name)
            made = tflite_file.text(graph.tensors[int(operator.outputs[0])].name)
            yield Layer(names[0], made, names[1], CHANNEL_AXIS[op], values, offsets)


def layers_of_onnx(model: Any) -> Iterator[Layer]:
    """Every layer of an ``onnx.ModelProto`` with a bias that is stored."""
    from onnx import numpy_helper

    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3:
            continue
        source, weight, bias = node.input[:3]
        if weight in stored and bias in stored:
            values, offsets = (numpy_helper.to_array(stored[name]) for name in (weight, bias))
            axis = channel_axis(node, values.ndim)
            yield Layer(source, node.output[0], weight, axis, values, offsets)


def is_stored(model: Any, tensor: Any) -> bool:
    """Whether ``tensor`` is a constant of float32."""
    from ai_edge_litert import schema_py_generated as schema

    data = model.buffers[tensor.buffer].data
    return tensor.type == schema.TensorType.FLOAT32 and data is not None and len(data) > 0
