"""Channels and weights of a file: each operator's own axes, groups, and the activation behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyml.core.spec import Array
from tinyml.modelfile.graph import Graph, Operator, Tensor
from tinyml.pipeline.quantization.file_layers import channel_axes, layers

RANDOM = np.random.default_rng(0)


def graph(*operators: Operator, weights: dict[str, Array] | None = None) -> Graph:
    """Of ``operators``; every value that is no weight has four axes."""
    names = {name for o in operators for name in (*o.inputs, *o.outputs)}
    values = {name: Tensor(name, (1, 8, 4, 4), "float32") for name in names}
    for name, array in (weights or {}).items():
        values[name] = Tensor(name, array.shape, "float32", lambda array=array: array, name)
    return Graph(operators, (operators[-1].outputs[0],), ("x",), values)


WEIGHTS: dict[str, tuple[tuple[int, ...], dict[str, Any], int, int]] = {
    # operator: shape, attributes, output channels, input channels
    "Conv": ((6, 8, 3, 3), {}, 6, 8),
    "CONV_2D": ((6, 3, 3, 8), {}, 6, 8),
    "DEPTHWISE_CONV_2D": ((1, 3, 3, 8), {"depthMultiplier": 1}, 8, 8),
    "ConvTranspose": ((8, 6, 3, 3), {}, 6, 8),
    "FULLY_CONNECTED": ((6, 8), {}, 6, 8),
    "Gemm": ((6, 8), {"transB": 1}, 6, 8),
    "MatMul": ((8, 6), {}, 6, 8),
}


@pytest.mark.parametrize("op", WEIGHTS)
def test_a_weight_is_read_along_its_own_axes(op: str) -> None:
    shape, attributes, outputs, inputs = WEIGHTS[op]
    weight = RANDOM.standard_normal(shape)
    made = graph(
        Operator("n", op, ("x", "w"), ("y",), attributes=attributes), weights={"w": weight}
    )
    (own,) = layers(made, {"y": "body"})
    assert (own.name, own.source, own.output) == ("body", "x", "y")
    assert own.peaks.shape == (outputs,)
    assert own.norms.shape == (inputs,)
    assert own.peaks.max() == pytest.approx(np.abs(weight).max())
    assert (own.norms**2).sum() == pytest.approx((weight**2).sum())


@pytest.mark.parametrize("groups", [2, 8])
def test_a_grouped_convolution_has_the_channels_of_its_groups(groups: int) -> None:
    weight = RANDOM.standard_normal((8, 8 // groups, 3, 3))
    weight[0] *= 100  # an output of the first group
    conv = Operator("n", "Conv", ("x", "w"), ("y",), attributes={"group": groups})
    (own,) = layers(graph(conv, weights={"w": weight}), {})
    first = own.norms[: 8 // groups]
    assert own.norms.shape == (8,)
    assert first.min() > 10 * own.norms[8 // groups :].max()


def test_the_activation_behind_is_part_of_the_layer_unless_others_read_what_is_before() -> None:
    conv = Operator("n", "Conv", ("x", "w"), ("y",))
    clip = Operator("c", "Clip", ("y",), ("z",))
    weights = {"w": RANDOM.standard_normal((8, 8, 1, 1))}
    assert [own.output for own in layers(graph(conv, clip, weights=weights), {})] == ["z"]
    both = Operator("a", "Add", ("y", "z"), ("s",))
    assert [own.output for own in layers(graph(conv, clip, both, weights=weights), {})] == ["y"]


def test_channels_are_followed_until_an_operator_moves_them() -> None:
    conv = Operator("n", "Conv", ("x", "w"), ("y",))
    pool = Operator("p", "MaxPool", ("y",), ("z",))
    moved = Operator("t", "Transpose", ("z",), ("s",))
    after = Operator("r", "Relu", ("s",), ("u",))
    weights = {"w": RANDOM.standard_normal((8, 8, 1, 1))}
    found = channel_axes(graph(conv, pool, moved, after, weights=weights))
    assert found == {"y": 1, "z": 1}
