"""A .tflite file's operators as the nodes that XNNPACK's graph has.

Constants are not values here; a PAD before one convolution is that convolution's own
padding (``xnn_subgraph_fusion``); DENSIFY and DEQUANTIZE of a constant are no nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from tinyml.core.spec import Array
from tinyml.modelfile.graph import UNPACKING, Graph, Operator
from tinyml.modelfile.ops import PRODUCTS

SAME = 0
SAME_AT_STRIDE = "SAME"
FLOATS = ("float32", "float16")
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
WEIGHTED = (*CONVOLUTIONS, "FULLY_CONNECTED")
Padding = tuple[int, int, int, int] | str


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution's: ``padding`` is (top, right, bottom, left), or SAME if XNNPACK keeps it."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: Padding
    groups: int
    channels: int
    multiplier: int


@dataclass(frozen=True, slots=True)
class Weight:
    """Of a convolution or matrix: [output channels, ...]; ``sparse``: stored without zeros."""

    name: str
    values: Array
    sparse: bool

    @property
    def zeros(self) -> int:
        return self.values.size - int(np.count_nonzero(self.values))

    @property
    def sparsity(self) -> float:
        return self.zeros / max(1, self.values.size)


@dataclass(frozen=True, slots=True)
class Node:
    """``inputs`` and ``outputs`` are values that are computed; shapes are those of inputs.

    ``constants``: shapes of those that it reads, by place; ``options``: the operator's.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    output_shape: tuple[int, ...]
    dtypes: tuple[str, ...]
    constant_places: tuple[int, ...] = ()
    convolution: Convolution | None = None
    weight: Weight | None = None
    options: dict[str, object] = field(default_factory=dict)

    @property
    def is_pointwise(self) -> bool:
        return (
            self.op == "CONV_2D"
            and self.convolution is not None
            and self.convolution.kernel == (1, 1)
        )

    @property
    def is_counted(self) -> bool:
        """Whether its weight counts among the zeros and parameters of a cluster."""
        return self.weight is not None and (self.is_pointwise or self.op == "FULLY_CONNECTED")


def nodes(graph: Graph) -> list[Node]:
    """In the file's order."""
    carried = set(_carried(graph))
    found = [
        _node(graph, operator)
        for operator in graph.operators
        if not carried.issuperset(operator.outputs)
    ]
    return list(_fused(graph, found))


def _carried(graph: Graph) -> Iterator[str]:
    """Values that are constants in another form."""
    for operator in graph.operators:
        if operator.op not in UNPACKING:
            continue
        source = graph.producers.get(operator.operands[0])
        if graph.tensors[operator.operands[0]].constant is not None or (
            source is not None and source.op in UNPACKING and graph.constants(operator)
        ):
            yield from operator.outputs


def _node(graph: Graph, operator: Operator) -> Node:
    constants = [graph.stored(name) is not None for name in operator.operands]
    inputs = tuple(n for n, stored in zip(operator.operands, constants, strict=True) if not stored)
    values = [graph.tensors[name] for name in (*operator.operands, *operator.outputs)]
    made = Node(
        name=operator.label,
        op=operator.op,
        inputs=inputs,
        outputs=operator.outputs,
        shapes=tuple(graph.tensors[name].shape or () for name in operator.operands),
        output_shape=(graph.tensors[operator.outputs[0]].shape or ()) if operator.outputs else (),
        dtypes=tuple(v.dtype for v in values if v.dtype not in ("int32", "int64", "bool")),
        constant_places=tuple(i for i, stored in enumerate(constants) if stored),
        options=dict(operator.attributes),
    )
    weighted = PRODUCTS[operator.op] if operator.op in WEIGHTED else None
    name = operator.operand(weighted.weight) if weighted is not None else ""
    stored = graph.stored(name) if name else None
    if stored is None:
        return made
    assert stored.constant is not None
    weight = Weight(stored.name, np.asarray(stored.constant()), stored.sparse)
    conv = _convolution_of(made, weight) if operator.op in CONVOLUTIONS else None
    return replace(made, weight=weight, convolution=conv)


def _convolution_of(node: Node, weight: Weight) -> Convolution:
    options = node.options
    height, width = weight.values.shape[1:3]
    stride = _pair(options, "strideH", "strideW")
    dilation = _pair(options, "dilationHFactor", "dilationWFactor")
    channels = node.shapes[0][-1]
    deep = node.op == "DEPTHWISE_CONV_2D"
    groups = channels if deep else channels // max(1, weight.values.shape[-1])
    multiplier = weight.values.shape[-1] // max(1, channels) if deep else 1
    padding: Padding = (0, 0, 0, 0)
    if options.get("padding") == SAME:
        padding = _same((height, width), stride, dilation)
    return Convolution((height, width), stride, dilation, padding, groups, channels, multiplier)


def _pair(options: dict[str, object], first: str, second: str) -> tuple[int, int]:
    return int(str(options.get(first, 1))), int(str(options.get(second, 1)))


def _same(kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> Padding:
    """Explicit at stride 1, as ``xnn_define_convolution_2d`` makes it; kept otherwise."""
    if stride != (1, 1):
        return (0, 0, 0, 0) if kernel == (1, 1) else SAME_AT_STRIDE
    rows, columns = ((k - 1) * d for k, d in zip(kernel, dilation, strict=True))
    return (rows // 2, columns - columns // 2, rows - rows // 2, columns // 2)


def _fused(graph: Graph, found: list[Node]) -> Iterator[Node]:
    """A padding by zeros that one convolution alone reads becomes that convolution's."""
    readers = Counter(name for node in found for name in node.inputs)
    pads = {n.outputs[0]: n for n in found if n.op in ("PAD", "PADV2") and n.outputs}
    gone: set[str] = set()
    made = []
    for node in found:
        pad = pads.get(node.inputs[0]) if node.inputs else None
        sides = _sides(graph, pad) if pad else None
        if (
            pad is None
            or sides is None
            or node.convolution is None
            or node.convolution.padding == SAME_AT_STRIDE
            or readers[pad.outputs[0]] != 1
            or pad.outputs[0] in graph.outputs
        ):
            made.append(node)
            continue
        gone.add(pad.outputs[0])
        conv = replace(node.convolution, padding=_sum(node.convolution.padding, sides))
        made.append(replace(node, inputs=pad.inputs, shapes=pad.shapes, convolution=conv))
    yield from (node for node in made if not gone.intersection(node.outputs))


def _sum(own: Padding, more: tuple[int, int, int, int]) -> Padding:
    if isinstance(own, str):
        return own
    top, right, bottom, left = (a + b for a, b in zip(own, more, strict=True))
    return top, right, bottom, left


def _sides(graph: Graph, pad: Node) -> tuple[int, int, int, int] | None:
    """(top, right, bottom, left) of a padding of height and width by zeros."""
    operator = graph.producers[pad.outputs[0]]
    sides = graph.stored(operator.operands[1])
    if sides is None or sides.constant is None or pad.op != "PAD":
        return None
    amounts = np.asarray(sides.constant())
    if amounts.shape != (4, 2) or amounts[0].any() or amounts[3].any():
        return None
    (top, bottom), (left, right) = amounts[1].tolist(), amounts[2].tolist()
    return top, right, bottom, left
