"""The table of operators agrees with ai-edge-quantizer, and its axes and products with numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyml.modelfile.ops import DEPTHWISE, PRODUCTS, WEIGHTED, traits_of

# operator: weight, attributes, output channels, input channels of a group
WEIGHTS: dict[str, tuple[tuple[int, ...], dict[str, Any], int, int]] = {
    "Conv": ((6, 4, 3, 3), {}, 6, 4),
    "ConvTranspose": ((4, 6, 3, 3), {}, 6, 4),
    "MatMul": ((2, 4, 6), {}, 6, 4),
    "Gemm": ((4, 6), {}, 6, 4),
    "CONV_2D": ((6, 3, 3, 4), {}, 6, 4),
    "CONV_3D": ((3, 3, 3, 4, 6), {}, 6, 4),
    "DEPTHWISE_CONV_2D": ((1, 3, 3, 6), {}, 6, 1),
    "TRANSPOSE_CONV": ((6, 3, 3, 4), {}, 6, 4),
    "FULLY_CONNECTED": ((6, 4), {}, 6, 4),
    "BATCH_MATMUL": ((2, 4, 6), {}, 6, 4),
}
THEIR_NAMES = {"CONV_2D_TRANSPOSE": "TRANSPOSE_CONV"}
SWAPPED = {"Gemm": "transB", "BATCH_MATMUL": "adjY"}


@pytest.mark.parametrize("op", WEIGHTS)
def test_axes_are_those_of_the_channels(op: str) -> None:
    shape, attributes, outputs, inputs = WEIGHTS[op]
    traits = traits_of(op, attributes, len(shape))
    assert (shape[traits.outputs], shape[traits.inputs]) == (outputs, inputs)


@pytest.mark.parametrize("op", SWAPPED)
def test_a_transposed_weight_has_its_axes_swapped(op: str) -> None:
    shape, _, outputs, inputs = WEIGHTS[op]
    shape = (*shape[:-2], shape[-1], shape[-2])
    traits = traits_of(op, {SWAPPED[op]: 1}, len(shape))
    assert (shape[traits.outputs], shape[traits.inputs]) == (outputs, inputs)


def test_scales_lie_where_ai_edge_quantizer_puts_them() -> None:
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import TFL_OP_TO_WEIGHT_QUANTIZED_DIM

    named = {op.value: axis for op, axis in TFL_OP_TO_WEIGHT_QUANTIZED_DIM.items()}
    theirs = {THEIR_NAMES.get(name, name): axis for name, axis in named.items()}
    assert {op: WEIGHTED[op].outputs for op in theirs} == theirs


@pytest.mark.parametrize(
    ("op", "attributes", "shapes", "output", "macs"),
    [
        ("Conv", {}, [(1, 4, 9), (6, 4, 3), (6,)], (1, 6, 7), 7 * 6 * 4 * 3),
        ("Gemm", {"transA": 1}, [(4, 2), (4, 6)], (2, 6), 2 * 4 * 6),
        ("BATCH_MATMUL", {"adjX": True}, [(1, 4, 2), (1, 4, 6)], (1, 2, 6), 2 * 4 * 6),
        ("TRANSPOSE_CONV", {}, [(4,), (6, 3, 3, 4), (1, 5, 5, 4)], (1, 10, 10, 6), 100 * 54),
        ("QLinearConv", {}, [(1, 4, 9), (), (), (6, 4, 3)], (1, 6, 7), 7 * 6 * 4 * 3),
    ],
)
def test_multiply_accumulates(
    op: str, attributes: dict[str, Any], shapes: list[Any], output: tuple[int, ...], macs: int
) -> None:
    assert PRODUCTS[op].macs(attributes, shapes, output) == macs


def test_a_depthwise_weight_has_one_value_a_tap_and_channel() -> None:
    assert [op for op, traits in PRODUCTS.items() if traits.kind == DEPTHWISE] == [
        "DEPTHWISE_CONV_2D"
    ]
    weight = np.zeros(WEIGHTS["DEPTHWISE_CONV_2D"][0])
    count = PRODUCTS["DEPTHWISE_CONV_2D"].macs({}, [(1, 5, 5, 6), weight.shape], (1, 5, 5, 6))
    assert count == 25 * weight.size
