"""Which axis of a file's tensors is the channels', and what its weights do along it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from tinyml.core.spec import Array
from tinyml.export.quantization.findings.evidence import WeightedLayer
from tinyml.modelfile.graph import ACTIVATIONS, Graph, Operator
from tinyml.modelfile.ops import DEPTHWISE, LOOKUP, PRODUCTS, OpTraits

# What leaves them where they are.
KEEPING = (
    *("RELU", "RELU6", "LEAKY_RELU", "PRELU", "HARD_SWISH", "LOGISTIC", "TANH", "ADD", "MUL"),
    *("PAD", "AVERAGE_POOL_2D", "MAX_POOL_2D"),
    *("Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish", "Sigmoid", "Tanh", "Add", "Mul"),
    *("Pad", "AveragePool", "GlobalAveragePool", "MaxPool"),
)


def channel_axes(graph: Graph) -> dict[str, int]:
    """Tensor -> the axis of its channels; only where the operators tell."""
    axes: dict[str, int] = {}
    for operator in graph.operators:
        known = [axes[name] for name in operator.inputs if name in axes]
        if operator.op in PRODUCTS:
            axes |= dict.fromkeys(operator.outputs, PRODUCTS[operator.op].channels)
        elif operator.op in KEEPING and known and _same_rank(graph, operator):
            axes |= dict.fromkeys(operator.outputs, known[0])
    return {graph.tensors[key].name: axis for key, axis in axes.items()}


def _same_rank(graph: Graph, operator: Operator) -> bool:
    shapes = [graph.tensors[name].shape for name in (operator.inputs[0], operator.outputs[0])]
    return None in shapes or len(shapes[0] or ()) == len(shapes[1] or ())


def layers(graph: Graph, owners: Mapping[str, str]) -> Iterator[WeightedLayer]:
    """Every product with a stored weight, its output behind the activation that follows.

    ``owners``: tensor -> its innermost stage.
    """
    behind = _activated(graph)
    for operator, traits, weight in graph.layers():
        stored = weight.constant() if weight.constant is not None else None
        if stored is None or stored.dtype.kind != "f" or stored.ndim < 2 or traits.kind == LOOKUP:
            continue
        ends = (operator.inputs[0], operator.outputs[0])
        source, made = (graph.tensors[key].name for key in ends)
        output = graph.tensors[behind.get(operator.outputs[0], operator.outputs[0])].name
        peaks, norms = _by_channel(operator, traits, stored.astype(np.float64))
        yield WeightedLayer(owners.get(made, made), source, output, peaks, norms, made)


def _activated(graph: Graph) -> dict[str, str]:
    """Tensor -> what an activation makes of it that is its only reader."""
    readers = Counter(name for operator in graph.operators for name in operator.inputs)
    readers.update(graph.outputs)
    found = [o for o in graph.operators if o.op in ACTIVATIONS and readers[o.inputs[0]] == 1]
    return {operator.inputs[0]: operator.outputs[0] for operator in found}


def _by_channel(operator: Operator, traits: OpTraits, weight: Array) -> tuple[Array, Array]:
    """([outputs] largest magnitude, [inputs] root of the sum of squares) of a weight."""
    out = np.moveaxis(weight, traits.outputs, 0)
    peaks = np.abs(out.reshape(len(out), -1)).max(axis=1)
    return peaks, np.sqrt((_inputs_first(operator, traits, weight) ** 2).sum(axis=1))


def _inputs_first(operator: Operator, traits: OpTraits, weight: Array) -> Array:
    """[input channels, what reads them]."""
    if traits.kind == DEPTHWISE:
        out = np.moveaxis(weight, traits.outputs, 0)
        each = int(operator.attributes.get("depthMultiplier", 1)) or 1
        return out.reshape(len(out) // each, -1)
    if operator.op == "Conv":
        groups = int(operator.attributes.get("group", 1))
        parts = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
        return parts.transpose(0, 2, 1, 3).reshape(groups * weight.shape[1], -1)
    # Grouped: the input's channels are more than the axis has, and nobody's match.
    first = np.moveaxis(weight, traits.inputs, 0)
    return first.reshape(len(first), -1)
