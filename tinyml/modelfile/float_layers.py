"""The layers of a float32 file whose bias would be stored in 32 bits if they were quantized."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyml.core.spec import Array
from tinyml.modelfile.graph import Graph, Operator
from tinyml.modelfile.ops import LOOKUP, TRANSPOSED, Product


@dataclass(frozen=True, slots=True)
class FloatLayer:
    """A convolution or matrix product, and its row of the table of operators.

    weight  as stored; ``bias`` [channels] or ``None`` without one
    """

    operator: Operator
    row: Product
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
        front = (self.row.outputs, self.row.inputs)
        return (*front, *(i for i in range(self.weight.ndim) if i not in front))


def float_layers(graph: Graph) -> Iterator[FloatLayer]:
    """Those whose weight, and bias if they have one, are stored in float32.

    Transposed convolutions are left out, and products that take no bias (``MatMul``).
    """
    for operator, row, weight in graph.layers():
        takes_bias = row.bias is not None and row.kind not in (TRANSPOSED, LOOKUP)
        if not takes_bias or not operator.weight or weight.constant is None:
            continue
        bias = graph.tensors[name] if (name := operator.operand(row.bias)) else None
        if bias is None:
            yield FloatLayer(operator, row, weight.constant(), None)
        elif bias.constant is not None and bias.dtype == "float32":
            yield FloatLayer(operator, row, weight.constant(), bias.constant())
