"""Ranges of weights whose own are too small for their bias.

A bias is stored in 32 bits with the scale of the input times that of its channel's weights.
A channel that pruning left without weights has none to speak of: its bias would saturate,
and the channel's answer with it. Zeros stay zeros at any scale, so such a channel is given
one that its bias fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinyml.export import flatbuffer
from tinyml.export.choose_range import Range
from tinyml.spec import Array

# Where a weight's output channels lie.
CHANNEL_AXIS = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": 3}
LEVELS = 127
# A power of two below 2^31: sums of products come on top of the bias.
LARGEST_BIAS = 2.0**30


def weight_ranges(
    model: Any, activations: Mapping[str, Range], scales: str = "per-channel"
) -> dict[str, Array]:
    """Weight -> largest magnitude by channel, [1 .. channels .. 1]; only those that need one.

    ``scales`` ``per-tensor``: by weight, [1 .. 1].
    """
    found: dict[str, Array] = {}
    for axis, source, weight, bias in _layers(model):
        within = activations.get(flatbuffer.text(source.name))
        if within is None:
            continue
        values, offsets = (flatbuffer.array(model, t, np.float32) for t in (weight, bias))
        others = tuple(i for i in range(values.ndim) if i != axis)
        own: Array = np.abs(values).max(axis=others, keepdims=True)
        step = (max(within.high, 0.0) - min(within.low, 0.0)) / (2 * LEVELS + 1)
        finest = max(step, float(np.finfo(np.float32).tiny))
        least = (np.abs(offsets) * LEVELS / (finest * LARGEST_BIAS)).reshape(own.shape)
        if scales == "per-tensor":
            own, least = own.max(keepdims=True), least.max(keepdims=True)
        if np.any(own < least):
            found[flatbuffer.text(weight.name)] = np.maximum(own, least).astype(np.float32)
    return found


def _layers(model: Any) -> Iterator[tuple[int, Any, Any, Any]]:
    """(channel axis, input, weight, bias) of every layer with a float bias that is stored."""
    (graph,) = model.subgraphs
    for operator in graph.operators:
        op = flatbuffer.operator_name(model.operatorCodes[operator.opcodeIndex])
        if op not in CHANNEL_AXIS or len(operator.inputs) < 3 or int(operator.inputs[2]) < 0:
            continue
        source, weight, bias = (graph.tensors[int(i)] for i in operator.inputs[:3])
        if is_stored(model, weight) and is_stored(model, bias):
            yield CHANNEL_AXIS[op], source, weight, bias


def is_stored(model: Any, tensor: Any) -> bool:
    """Whether ``tensor`` is a constant of float32."""
    from ai_edge_litert import schema_py_generated as schema

    data = model.buffers[tensor.buffer].data
    return tensor.type == schema.TensorType.FLOAT32 and data is not None and len(data) > 0
