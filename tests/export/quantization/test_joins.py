"""What joins quantities of different size stays in float32; where it cannot, it is refused."""

from __future__ import annotations

import pytest

from tinyml.core.errors import UsageError
from tinyml.export.quantization.joins import (
    AT_THE_END,
    JOINS_OUTPUT,
    MOVES_THEM,
    OF_ORDERS,
    kept_at_the_end,
    kept_inside,
    tail,
)
from tinyml.export.quantization.keep_float import check_quantized_io, kept_operators
from tinyml.export.quantization.precisions.w8 import W8
from tinyml.export.quantization.precisions.w8a8_static import W8A8_STATIC
from tinyml.export.quantization.ranges import Range
from tinyml.modelfile.graph import Graph, Operator

# boxes and scores of a detector; ``y`` is the output
DETECTOR = Graph(
    (
        Operator("b", "Conv", ("x",), ("b",), "wb"),
        Operator("flat", "Reshape", ("b",), ("flat",)),
        Operator("s", "Conv", ("x",), ("s",), "ws"),
        Operator("p", "Sigmoid", ("s",), ("p",)),
        Operator("pflat", "Reshape", ("p",), ("pflat",)),
        Operator("c", "Concat", ("flat", "pflat"), ("c",)),
        Operator("y", "Transpose", ("c",), ("y",)),
    ),
    ("y",),
    ("x",),
)
PIXELS = {name: Range(0.0, 320.0) for name in ("b", "flat", "c", "y")}
RANGES = {"x": Range(0.0, 1.0), "s": Range(-4.0, 0.0), **PIXELS}
RANGES |= {"p": Range(0.0, 0.06), "pflat": Range(0.0, 0.06)}
# the same join inside of a network, read by a convolution through a reshape
INSIDE = Graph(
    (
        *DETECTOR.operators[:6],
        Operator("m", "Reshape", ("c",), ("m",)),
        Operator("r", "Conv", ("m",), ("r",), "wr"),
        Operator("z", "Gemm", ("r",), ("z",), "wz"),
    ),
    ("z",),
    ("x",),
)


def test_the_tail_is_what_joins_and_moves_alone() -> None:
    assert tail(DETECTOR) == {"flat", "pflat", "c", "y"}
    assert tail(INSIDE) == set()


def test_the_last_join_and_what_follows_stays_with_the_probabilities() -> None:
    assert kept_at_the_end(DETECTOR) == {
        "p": AT_THE_END,
        "pflat": MOVES_THEM,
        "c": JOINS_OUTPUT,
        "y": JOINS_OUTPUT,
    }
    assert kept_operators(
        DETECTOR, {}, {}, None, {}, ranges=RANGES, precision=W8A8_STATIC
    ) == kept_at_the_end(DETECTOR)


def test_an_uneven_join_inside_stays_with_what_reads_it() -> None:
    kept = kept_inside(INSIDE, RANGES)
    assert set(kept) == {"c", "m", "r"}
    assert "1 : 5,333" in kept["c"]
    even = {**RANGES, "pflat": Range(0.0, 20.0)}
    assert kept_inside(INSIDE, even) == {}


def test_the_last_layer_of_channels_of_different_orders_stays() -> None:
    graph = Graph(DETECTOR.operators[:2], ("flat",), ("x",))
    kept = kept_operators(
        graph, {}, {}, None, {}, ranges=RANGES, uneven_outputs=["flat"], precision=W8A8_STATIC
    )
    assert kept == {"b": OF_ORDERS, "flat": OF_ORDERS}
    assert kept_operators(graph, {}, {}, None, {}, ranges=RANGES, precision=W8A8_STATIC) == {}


def test_an_activation_behind_does_not_hide_the_layer() -> None:
    relu = Operator("relu", "Relu", ("b",), ("relu",))
    graph = Graph((DETECTOR.operators[0], relu), ("relu",), ("x",))
    kept = kept_operators(graph, {}, {}, None, {}, uneven_outputs=["relu"], precision=W8A8_STATIC)
    assert kept == {"b": OF_ORDERS, "relu": OF_ORDERS}


def test_what_is_scaled_or_joined_again_on_its_way_stays() -> None:
    again = (
        *DETECTOR.operators[:6],
        Operator("d", "Concat", ("c", "flat"), ("d",)),
        Operator("e", "Mul", ("d",), ("e",)),
        Operator("r", "Conv", ("e",), ("r",), "wr"),
    )
    graph = Graph(again, ("r",), ("x",))
    assert set(kept_inside(graph, {**RANGES, "d": Range(0.0, 320.0)})) == {"c", "d", "e", "r"}


def test_a_constant_operand_shows_in_the_range_of_the_output() -> None:
    grid = Operator("g", "Concat", ("p",), ("g",))  # probabilities next to a grid of pixels
    graph = Graph((grid, Operator("r", "Conv", ("g",), ("r",), "w")), ("r",), ("p",))
    assert set(kept_inside(graph, {"p": Range(0.0, 1.0), "g": Range(0.0, 223.0)})) == {"g", "r"}


def test_weights_alone_leave_every_join_as_it_is() -> None:
    assert kept_operators(INSIDE, {}, {}, None, {}, precision=W8, ranges=RANGES) == {}


def test_quantized_outputs_of_different_sizes_are_refused_with_the_fix() -> None:
    with pytest.raises(UsageError, match="'c' joins parts whose ranges differ 1 : 5,333") as error:
        check_quantized_io(DETECTOR, {}, RANGES)
    assert "a separate output" in error.value.hint
    graph = Graph(DETECTOR.operators[:2], ("flat",), ("x",))
    with pytest.raises(UsageError, match="channels of 'flat' differ"):
        check_quantized_io(graph, {}, RANGES, ["flat"])


def test_quantized_outputs_of_like_parts_are_allowed() -> None:
    check_quantized_io(DETECTOR, {}, {**RANGES, "pflat": Range(0.0, 20.0)})
