"""What is known of the operators of .onnx and .tflite that multiply by a weight: the one table.

An operator that is not listed multiplies by no weight. Sources: ONNX's operator
documentation (Operators.md, and ContribOperators.md of onnxruntime for ``com.microsoft``);
of TFLite the reference kernels (tensorflow/lite/kernels) and, for the axis of the scales,
``TFL_OP_TO_WEIGHT_QUANTIZED_DIM`` of ai-edge-quantizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

CONVOLUTION, DEPTHWISE, TRANSPOSED, MATRIX, LOOKUP = (
    *("convolution", "depthwise convolution", "transposed convolution"),
    *("matrix product", "lookup"),
)
# A size that is not fixed is its name or ``?``.
Shape = tuple[int | str, ...]
Macs = Callable[[Mapping[str, Any], Sequence[Shape | None], Shape | None], int | None]


@dataclass(frozen=True, slots=True)
class OpTraits:
    """How an operator multiplies by a weight.

    weight, data, bias  places among the operands; no operator has a bias without a place
    outputs   axis of the weight's output channels, along which its scales lie where it is
              quantized by channel
    inputs    axis of the weight's input channels: those of one group
    channels  axis of the channels in what it computes
    in_int8   whether its weight alone can be stored in int8
    macs      multiply-accumulates of one call, from the attributes, the operands' shapes and
              the output's; ``None`` when a size is not known
    """

    kind: str
    outputs: int
    inputs: int
    channels: int
    macs: Macs
    weight: int = 1
    data: int = 0
    bias: int | None = 2
    in_int8: bool = True

    @property
    def is_convolution(self) -> bool:
        return self.kind in (CONVOLUTION, DEPTHWISE, TRANSPOSED)


def elements(shape: Sequence[int | str] | None) -> int | None:
    """Number of elements; ``None`` when a size is not fixed."""
    if shape is None or any(not isinstance(size, int) or size < 0 for size in shape):
        return None
    return math.prod(int(size) for size in shape)


def _product(shape: Sequence[int | str] | None, *factors: int | str | None) -> int | None:
    """Elements of ``shape`` times ``factors``; ``None`` when one of them is not known."""
    return elements([*shape, *("?" if f is None else f for f in factors)]) if shape else None


def _output_times(weight: int, sizes: slice) -> Macs:
    """Each value of the output is a sum over those ``sizes`` of the operand ``weight``."""

    def macs(_: Mapping[str, Any], shapes: Sequence[Shape | None], out: Shape | None) -> int | None:
        own = shapes[weight] if len(shapes) > weight else None
        return _product(out, *own[sizes]) if own else None

    return macs


def _input_times(data: int, weight: int, sizes: slice) -> Macs:
    """Each value of the operand ``data`` goes into that many values of the output."""

    def macs(_: Mapping[str, Any], shapes: Sequence[Shape | None], out: Shape | None) -> int | None:
        own = shapes[weight] if len(shapes) > max(weight, data) else None
        return _product(shapes[data], *own[sizes]) if own else None

    return macs


def _rows_times(transposed: str) -> Macs:
    """[..., rows, inner] times [..., inner, columns]; ``transposed`` tells of the first operand."""

    def macs(
        attributes: Mapping[str, Any], shapes: Sequence[Shape | None], out: Shape | None
    ) -> int | None:
        rows = shapes[0] if shapes else None
        return _product(out, rows[-2 if attributes.get(transposed) else -1]) if rows else None

    return macs


def _none(_: Mapping[str, Any], shapes: Sequence[Shape | None], out: Shape | None) -> int | None:
    return 0


_ONNX_CONV = OpTraits(CONVOLUTION, 0, 1, 1, _output_times(1, slice(1, None)))
_ONNX_MATMUL = OpTraits(MATRIX, -1, -2, -1, _rows_times(""), bias=None)
_GEMM = OpTraits(MATRIX, 1, 0, -1, _rows_times("transA"))
# Of weights that are integers and stay what they are.
_INTEGERS: dict[str, Any] = {"in_int8": False, "bias": None}
_QLINEAR: dict[str, Any] = {"in_int8": False, "weight": 3}

ONNX: Mapping[str, OpTraits] = {
    "Conv": _ONNX_CONV,  # weight [out, in / groups, *kernel]
    "ConvInteger": replace(_ONNX_CONV, **_INTEGERS),
    "QLinearConv": replace(_ONNX_CONV, **_QLINEAR, bias=8, macs=_output_times(3, slice(1, None))),
    # [in, out / groups, *kernel]
    "ConvTranspose": OpTraits(TRANSPOSED, 1, 0, 1, _input_times(0, 1, slice(1, None))),
    "MatMul": _ONNX_MATMUL,  # [..., in, out]
    "MatMulInteger": replace(_ONNX_MATMUL, **_INTEGERS),
    "QLinearMatMul": replace(_ONNX_MATMUL, **_QLINEAR),
    "Gemm": _GEMM,  # [in, out]
}
TFLITE: Mapping[str, OpTraits] = {
    # [out, height, width, in / groups]
    "CONV_2D": OpTraits(CONVOLUTION, 0, 3, -1, _output_times(1, slice(1, None))),
    # [depth, height, width, in, out]
    "CONV_3D": OpTraits(CONVOLUTION, 4, 3, -1, _output_times(1, slice(0, 4)), in_int8=False),
    # [1, height, width, out]
    "DEPTHWISE_CONV_2D": OpTraits(DEPTHWISE, 3, 0, -1, _output_times(1, slice(1, 3))),
    # operands (output shape, [out, height, width, in], data, bias)
    "TRANSPOSE_CONV": OpTraits(
        TRANSPOSED, 0, 3, -1, _input_times(2, 1, slice(0, 3)), data=2, bias=3
    ),
    "FULLY_CONNECTED": OpTraits(MATRIX, 0, 1, -1, _output_times(1, slice(-1, None))),  # [out, in]
    "BATCH_MATMUL": OpTraits(MATRIX, -1, -2, -1, _rows_times("adjX"), bias=None),  # [..., in, out]
}
PRODUCTS: Mapping[str, OpTraits] = {**ONNX, **TFLITE}
# What takes rows of a weight and multiplies nothing.
LOOKUPS: Mapping[str, OpTraits] = {
    "Gather": OpTraits(LOOKUP, 0, -1, -1, _none, weight=0, data=1, bias=None, in_int8=False),
    "GATHER": OpTraits(LOOKUP, 0, -1, -1, _none, weight=0, data=1, bias=None, in_int8=False),
    "EMBEDDING_LOOKUP": OpTraits(LOOKUP, 0, 1, -1, _none, bias=None),
}
WEIGHTED: Mapping[str, OpTraits] = {**PRODUCTS, **LOOKUPS}
# Attributes by which the weight lies transposed.
_TRANSPOSED = {"Gemm": "transB", "BATCH_MATMUL": "adjY"}


def traits_of(op: str, attributes: Mapping[str, Any], rank: int) -> OpTraits:
    """The row of ``op``, its axes of a weight of ``rank`` dimensions counted from the front."""
    own = WEIGHTED[op]
    outputs, inputs = own.outputs % max(rank, 1), own.inputs % max(rank, 1)
    if attributes.get(_TRANSPOSED.get(op, "")):
        outputs, inputs = inputs, outputs
    return replace(own, outputs=outputs, inputs=inputs)
