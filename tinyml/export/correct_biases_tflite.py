"""``CONV_2D(x, w, b)`` -> ``CONV_2D(x, w, b - shift)``, and what the shift is measured with.

Of a ``schema.ModelT`` in float32; `tinyml.export.correct_biases_onnx` does the same to its
format. Also ``DEPTHWISE_CONV_2D`` and ``FULLY_CONNECTED``. Refused where the weight or the
bias is no stored float32.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyml.export import flatbuffer
from tinyml.export.flatbuffer_edit import add_computed, add_constant, name_of, shape_of
from tinyml.export.weight_ranges import CHANNEL_AXIS as WEIGHT_AXIS
from tinyml.export.weight_ranges import is_stored
from tinyml.export.weight_rounding import rounding_error
from tinyml.spec import Array

# Where a product's output has its channels.
CHANNEL_AXIS = -1


@dataclass(frozen=True, slots=True)
class _Layer:
    """A product; ``axis``: of its weight's output channels; ``bias``: [channels]."""

    operator: Any
    output: str
    weight: Array
    axis: int
    bias: Array


def with_rounding_errors(data: bytes, scales: str) -> tuple[bytes, dict[str, str]]:
    """The file with one more layer beside each, and what those compute: (W_q - W) x.

    W_q is W in eight bits, ``scales`` ``per-channel`` or ``per-tensor``. Names of the new
    tensors are by those of the layers' outputs. No activation is built into the new layers.
    """
    model, found = flatbuffer.unpack(data), {}
    for layer in list(_layers(model)):
        name = found[layer.output] = f"{layer.output}~error"
        error = rounding_error(layer.weight, layer.axis, scales)
        beside = copy.copy(layer.operator)
        beside.builtinOptions = copy.copy(layer.operator.builtinOptions)
        beside.builtinOptions.fusedActivationFunction = 0
        weight = add_constant(model, f"{layer.output}~weight_error", error)
        nothing = add_constant(model, f"{layer.output}~no_bias", np.zeros_like(layer.bias))
        beside.inputs = np.array([int(layer.operator.inputs[0]), weight, nothing], np.int32)
        made = int(layer.operator.outputs[0])
        beside.outputs = np.array(
            [add_computed(model, made, name, shape_of(model, made))], np.int32
        )
        model.subgraphs[0].operators.append(beside)
    return flatbuffer.pack(model), found


def with_rounded_weights(
    data: bytes, scales: str, shifts: Mapping[str, Array], *, corrected: bool
) -> bytes:
    """The file, still in float32, with W_q for W in the layers of ``shifts``."""
    model = flatbuffer.unpack(data)
    for layer in [layer for layer in _layers(model) if layer.output in shifts]:
        rounded = layer.weight + rounding_error(layer.weight, layer.axis, scales)
        source, _, *bias = layer.operator.inputs
        weight = add_constant(model, f"{layer.output}~weight", rounded)
        layer.operator.inputs = np.array([source, weight, *bias], np.int32)
    if corrected:
        correct_biases(model, shifts)
    return flatbuffer.pack(model)


def correct_biases(model: Any, shifts: Mapping[str, Array]) -> int:
    """Subtract ``shifts``, [channels] by layer's output, from the biases; returns how many."""
    layers = [layer for layer in _layers(model) if layer.output in shifts]
    for layer in layers:
        bias = np.asarray(layer.bias - shifts[layer.output], np.float32)
        before = [int(i) for i in layer.operator.inputs]
        after = [*before[:2], add_constant(model, f"{layer.output}~bias", bias)]
        layer.operator.inputs = np.array(after, np.int32)
        if before[2:] and before[2] >= 0:
            _take_place(model, layer.operator, before[2])
    return len(layers)


def _take_place(model: Any, operator: Any, before: int) -> None:
    """The last tensor, the bias of ``operator``, in the place of ``before``, if none reads that."""
    (graph,) = model.subgraphs
    if any(before in map(int, own.inputs) for own in graph.operators):
        return
    old, graph.tensors[before] = graph.tensors[before], graph.tensors.pop()
    operator.inputs = np.array([*operator.inputs[:2], before], np.int32)
    if all(own.buffer != old.buffer for own in graph.tensors):
        model.buffers[old.buffer].data = None


def _layers(model: Any) -> Iterator[_Layer]:
    (graph,) = model.subgraphs
    for operator in graph.operators:
        op = name_of(model, operator)
        if op not in WEIGHT_AXIS:
            continue
        operands = [graph.tensors[int(i)] for i in operator.inputs[1:3] if i >= 0]
        if not all(is_stored(model, operand) for operand in operands):
            continue
        weight, *bias = (flatbuffer.array(model, operand, np.float32) for operand in operands)
        axis = WEIGHT_AXIS[op]
        name = flatbuffer.text(graph.tensors[int(operator.outputs[0])].name)
        offsets = bias[0] if bias else np.zeros(weight.shape[axis], np.float32)
        yield _Layer(operator, name, weight, axis, offsets)
