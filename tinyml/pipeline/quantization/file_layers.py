"""Which axis of a file's tensors is the channels', and what its weights do along it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from tinyml.core.spec import Array
from tinyml.export.operators import ACTIVATIONS
from tinyml.export.quantization.findings.evidence import Layer
from tinyml.modelfile.graph import Graph, Operator, Tensor
from tinyml.modelfile.ops import PRODUCTS

# Where a product's output has its channels.
AXES = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"), -1),
    **dict.fromkeys(("Conv", "ConvTranspose"), 1),
    **dict.fromkeys(("MatMul", "Gemm"), -1),
}
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
        if operator.op in AXES:
            axes |= dict.fromkeys(operator.outputs, AXES[operator.op])
        elif operator.op in KEEPING and known and _same_rank(graph, operator):
            axes |= dict.fromkeys(operator.outputs, known[0])
    return {graph.tensors[key].name: axis for key, axis in axes.items()}


def _same_rank(graph: Graph, operator: Operator) -> bool:
    shapes = [graph.tensors[name].shape for name in (operator.inputs[0], operator.outputs[0])]
    return None in shapes or len(shapes[0] or ()) == len(shapes[1] or ())


def layers(graph: Graph, owners: Mapping[str, str]) -> Iterator[Layer]:
    """Every product with a stored weight, its output behind the activation that follows.

    ``owners``: tensor -> its innermost stage.
    """
    behind = _activated(graph)
    for operator in graph.operators:
        weight = _weight(graph, operator)
        if weight is None:
            continue
        ends = (operator.inputs[0], operator.outputs[0])
        source, made = (graph.tensors[key].name for key in ends)
        output = graph.tensors[behind.get(operator.outputs[0], operator.outputs[0])].name
        peaks, norms = _by_channel(operator, weight)
        yield Layer(owners.get(made, made), source, output, peaks, norms, made)


def _activated(graph: Graph) -> dict[str, str]:
    """Tensor -> what an activation makes of it that is its only reader."""
    readers = Counter(name for operator in graph.operators for name in operator.inputs)
    readers.update(graph.outputs)
    found = [o for o in graph.operators if o.op in ACTIVATIONS and readers[o.inputs[0]] == 1]
    return {operator.inputs[0]: operator.outputs[0] for operator in found}


def _weight(graph: Graph, operator: Operator) -> Array | None:
    if operator.op not in PRODUCTS or operator.op not in AXES:
        return None
    stored: list[Tensor] = [v for v in graph.constants(operator) if len(v.shape or ()) > 1]
    if not stored or stored[0].constant is None:
        return None
    array = stored[0].constant()
    return array.astype(np.float64) if array.dtype.kind == "f" else None


def _by_channel(operator: Operator, weight: Array) -> tuple[Array, Array]:
    """([outputs] largest magnitude, [inputs] root of the sum of squares) of a weight."""
    out, flat = _outputs_first(operator, weight)
    peaks = np.abs(out.reshape(len(out), -1)).max(axis=1)
    return peaks, np.sqrt((flat**2).sum(axis=1))


def _outputs_first(operator: Operator, weight: Array) -> tuple[Array, Array]:
    """(``weight`` with its output channels first, [input channels, what reads them])."""
    if operator.op in ("CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"):
        # Grouped: the input's channels are more than the last axis has, and nobody's match.
        return weight, np.moveaxis(weight, -1, 0).reshape(weight.shape[-1], -1)
    if operator.op == "DEPTHWISE_CONV_2D":
        out = np.moveaxis(weight, -1, 0)
        each = int(operator.attributes.get("depthMultiplier", 1)) or 1
        return out, out.reshape(len(out) // each, -1)
    if operator.op == "Conv":
        groups = int(operator.attributes.get("group", 1))
        parts = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
        inputs = groups * weight.shape[1]
        return weight, parts.transpose(0, 2, 1, 3).reshape(inputs, -1)
    if operator.op == "Gemm" and operator.attributes.get("transB", 0):
        return weight, weight.T
    if operator.op == "ConvTranspose":
        return np.moveaxis(weight, 1, 0), weight.reshape(len(weight), -1)
    return np.moveaxis(weight, -1, 0), np.moveaxis(weight, -2, 0).reshape(weight.shape[-2], -1)
