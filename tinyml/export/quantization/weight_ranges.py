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

from collections.abc import Iterable, Mapping

import numpy as np

from tinyml.core.quant_params import step
from tinyml.core.spec import Array
from tinyml.export.quantization.ranges import Range
from tinyml.modelfile.float_layers import FloatLayer

LEVELS = 127
# A power of two below 2^31: sums of products come on top of the bias.
LARGEST_BIAS = 2.0**30
# Steps of an output that a step of the sums may be, less what rounding in float32 may add.
LARGEST_STEP = 255.0


def weight_ranges(
    layers: Iterable[FloatLayer],
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
        if within is None or layer.bias is None:
            continue
        others = tuple(i for i in range(layer.weight.ndim) if i != layer.traits.outputs)
        own: Array = np.abs(layer.weight).max(axis=others, keepdims=True)
        finest = max(step(dtype, within.low, within.high), float(np.finfo(np.float32).tiny))
        least = (np.abs(layer.bias) * LEVELS / (finest * LARGEST_BIAS)).reshape(own.shape)
        if scales == "per-tensor":
            own, least = own.max(keepdims=True), least.max(keepdims=True)
        if np.any(own < least):
            name, wide = layer.operator.weight, np.maximum(own, least).astype(np.float32)
            # A weight of several layers has one scale a channel, which fits each of their biases.
            found[name] = np.maximum(wide, found[name]) if name in found else wide
    return found


def output_ranges(
    layers: Iterable[FloatLayer], activations: Mapping[str, Range], weights: Mapping[str, Array]
) -> dict[str, Range]:
    """Output -> a range that is wide enough for XNNPACK; only those that need another.

    ``weights``: largest magnitudes of those that `weight_ranges` widens.
    """
    found: dict[str, Range] = {}
    for layer in layers:
        within, own = activations.get(layer.source), activations.get(layer.output)
        if within is None or own is None or layer.bias is None:
            continue
        largest = float(np.abs(weights.get(layer.operator.weight, layer.weight)).max()) / LEVELS
        low, high = min(own.low, 0.0), max(own.high, 0.0)
        width = _width(within) * largest / LARGEST_STEP
        if high - low < width:
            stretch = width / max(high - low, float(np.finfo(np.float32).tiny))
            found[layer.output] = Range(low * stretch, high * stretch)
    return found


def _width(within: Range) -> float:
    """Of a range with zero in it, as integers have it."""
    return max(within.high, 0.0) - min(within.low, 0.0)
