"""The layers of a float32 file whose bias would be stored in 32 bits if they were quantized."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tinyml.core.spec import Array
from tinyml.modelfile.graph import Graph, Operator
from tinyml.modelfile.ops import LOOKUP, TRANSPOSED, OpTraits


@dataclass(frozen=True, slots=True)
class FloatLayer:
    """A convolution or matrix product, and its traits in the table of operators.

    weight  as stored; ``bias`` [channels] or ``None`` without one
    """

    operator: Operator
    traits: OpTraits
    weight: Array
    bias: Array | None

    @property
    def source(self) -> str:
        """The tensor that it multiplies."""
        return self.operator.inputs[0]

    @property
    def output(self) -> str:
        """The tensor that it computes."""
        return self.operator.name

    @property
    def axes(self) -> tuple[int, ...]:
        """Of the weight: outputs, inputs of a group, then rows and columns."""
        front = (self.traits.outputs, self.traits.inputs)
        return (*front, *(i for i in range(self.weight.ndim) if i not in front))


@dataclass(frozen=True, slots=True)
class EditedLayer:
    """A `FloatLayer` with what its format edits.

    stored  the format's own object of the operator
    bias    [channels], zeros without one
    """

    stored: Any
    found: FloatLayer
    bias: Array

    @property
    def output(self) -> str:
        return self.found.output

    @property
    def weight(self) -> Array:
        return self.found.weight

    @property
    def axis(self) -> int:
        """Of the weight, the outputs'."""
        return self.found.traits.outputs


def float_layers(graph: Graph) -> Iterator[FloatLayer]:
    """Those whose weight, and bias if they have one, are stored in float32.

    Transposed convolutions are left out, and products that take no bias (``MatMul``).
    """
    for operator, traits, weight in graph.layers():
        takes_bias = traits.bias is not None and traits.kind not in (TRANSPOSED, LOOKUP)
        if not takes_bias or not operator.weight or weight.constant is None:
            continue
        bias = graph.tensors[name] if (name := operator.operand(traits.bias)) else None
        if bias is None:
            yield FloatLayer(operator, traits, weight.constant(), None)
        elif bias.constant is not None and bias.dtype == "float32":
            yield FloatLayer(operator, traits, weight.constant(), bias.constant())
