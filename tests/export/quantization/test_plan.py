"""What stays in float32 and why, on graphs of a few operators."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinyml.core.errors import ExportError
from tinyml.export.quantization import joins, plan
from tinyml.export.quantization.integer_kernels import NO_KERNEL
from tinyml.export.quantization.keep_float import exact_stages, kept_operators
from tinyml.export.quantization.plan import (
    NO_RANGES,
    QuantPlan,
    plan_tensors,
    plan_weights,
)
from tinyml.export.quantization.precisions.w8 import W8
from tinyml.export.quantization.precisions.w8a8_static import W8A8_STATIC
from tinyml.export.quantization.ranges import Range
from tinyml.modelfile.graph import Graph, Operator


def chain(*ops: str) -> Graph:
    """x -> t0 -> t1 ...: one operator each."""
    names = ["x", *(f"t{i}" for i in range(len(ops)))]
    made = [Operator(names[i + 1], op, (names[i],), (names[i + 1],)) for i, op in enumerate(ops)]
    return Graph(tuple(made), (names[-1],))


GRAPH = chain("CONV_2D", "MUL", "CONV_2D", "FULLY_CONNECTED", "SOFTMAX")
STAGES = {"front": "t1", "body": "t2", "logits": "t3", "body.conv": None}
OWNERS = {"t0": "front", "t1": "front", "t2": "body.conv", "t3": "logits"}
RANGES = {name: Range(-1.0, 1.0) for name in ("x", "t0", "t1", "t2", "t3", "t4")}


def test_the_front_end_and_the_probabilities_stay() -> None:
    kept = kept_operators(GRAPH, STAGES, OWNERS, "front", {}, precision=W8A8_STATIC)
    assert set(kept) == {"t0", "t1", "t4"}
    assert kept["t0"] == "front end, up to 'front'"
    assert "256 levels" in kept["t4"]
    assert exact_stages(GRAPH, STAGES, kept) == ("front",)


def test_a_front_end_that_has_no_tensor_keeps_nothing() -> None:
    kept = kept_operators(GRAPH, STAGES, OWNERS, "body.conv", {}, precision=W8A8_STATIC)
    assert set(kept) == {"t4"}


def test_a_normalisation_that_was_not_folded_stays() -> None:
    kept = kept_operators(
        chain("Conv", "BatchNormalization", "Conv"), {}, {}, None, {}, precision=W8A8_STATIC
    )
    assert kept == {"t1": NO_KERNEL}


def test_a_softmax_in_the_middle_is_quantized() -> None:
    assert (
        kept_operators(chain("SOFTMAX", "FULLY_CONNECTED"), {}, {}, None, {}, precision=W8A8_STATIC)
        == {}
    )


def test_a_stage_that_is_asked_for_stays_with_its_reason_and_no_other() -> None:
    kept = kept_operators(GRAPH, STAGES, OWNERS, None, {"body": "asked for"}, precision=W8A8_STATIC)
    assert kept == {"t2": "asked for", "t4": joins.AT_THE_END}
    assert exact_stages(GRAPH, STAGES, kept) == ()


def test_a_kept_stage_that_was_fused_away_keeps_its_operator() -> None:
    kept = kept_operators(
        GRAPH, STAGES, OWNERS, None, {"body.conv": "asked for"}, precision=W8A8_STATIC
    )
    assert kept["t2"] == "asked for"


def test_what_feeds_a_tensor_is_found_through_every_branch() -> None:
    branches = (
        Operator("a", "CONV_2D", ("x",), ("a",)),
        Operator("b", "CONV_2D", ("x",), ("b",)),
        Operator("c", "RELU", ("b",), ("c",)),
        Operator("d", "ADD", ("a", "c"), ("d",)),
    )
    graph = Graph(branches, ("d",))
    assert graph.feeding(["c"]).keys() == {"b", "c"}
    assert graph.feeding(["d"]).keys() == {"a", "b", "c", "d"}
    assert graph.feeding(["x"]) == {}
    assert graph.feeding([]) == {}


def test_tensors_between_kept_operators_alone_stay_floats() -> None:
    kept = kept_operators(GRAPH, STAGES, OWNERS, "front", {}, precision=W8A8_STATIC)
    plans = plan_tensors(GRAPH.operators, RANGES, kept)
    assert {name: own.scheme for name, own in plans.items()} == {
        **dict.fromkeys(("x", "t0", "t4"), "float32"),
        **dict.fromkeys(("t1", "t2", "t3"), "int8"),
    }
    assert plans["t0"].reason == "front end, up to 'front'"


def test_nothing_left_to_quantize_is_refused() -> None:
    kept = {operator.name: "asked for" for operator in GRAPH.operators}
    with pytest.raises(ExportError, match="no operator to quantize"):
        plan_tensors(GRAPH.operators, RANGES, kept)
    with pytest.raises(ExportError, match="no operator to quantize"):
        plan_tensors(GRAPH.operators, {}, {})


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    kept = kept_operators(GRAPH, STAGES, OWNERS, "front", {}, precision=W8A8_STATIC)
    made = QuantPlan(
        precision="w8a8-static",
        format="tflite",
        ranges="mse",
        samples=12,
        data="the training part of circor",
        tensors=plan_tensors(GRAPH.operators, RANGES, kept),
        kept=kept,
        operations=5,
        stages=STAGES,
        exact=("front",),
    )
    made.save(tmp_path / "plan.json")
    assert plan.load(tmp_path / "plan.json") == made
    assert made.lines()[0] == (
        "w8a8-static tflite: 2 of 5 operations quantized, "
        "ranges by mse of 12 samples (the training part of circor)"
    )


def test_an_activation_stays_with_the_convolution_in_front_of_it_and_with_no_other() -> None:
    graph = chain("Conv", "Clip", "Conv", "Relu")
    kept = kept_operators(
        graph, {"body": None}, {"t0": "body"}, None, {"body": "asked for"}, precision=W8A8_STATIC
    )
    assert kept == {"t0": "asked for", "t1": "asked for"}
    operators = (*graph.operators, Operator("a", "Reshape", ("t0", "t1"), ("a",)))
    branched = Graph(operators, ("a",))
    kept = kept_operators(
        branched, {"body": None}, {"t0": "body"}, None, {"body": "asked for"}, precision=W8A8_STATIC
    )
    assert kept == {"t0": "asked for"}


WEIGHTED = (
    Operator("a", "Conv", ("x",), ("a",), "wa"),
    Operator("b", "Relu", ("a",), ("b",)),
    Operator("c", "Gemm", ("b",), ("c",), "wc"),
    Operator("d", "Gemm", ("c",), ("d",), "wc"),
    Operator("e", "Softmax", ("d",), ("e",)),
)


def test_weights_alone_are_planned_by_who_reads_them() -> None:
    plans = plan_weights(WEIGHTED, {"a": "asked for", "d": "asked for"})
    assert {name: own.scheme for name, own in plans.items()} == {
        **dict.fromkeys(("x", "a", "b", "c", "d", "e"), "float32"),
        "wc": "int8",
    }
    assert plans["a"].reason == "asked for"
    assert plans["b"].reason == plan.NO_WEIGHT


def test_weights_alone_need_a_layer_with_one() -> None:
    with pytest.raises(ExportError, match="no operator to quantize"):
        plan_weights(WEIGHTED[1:2], {})
    with pytest.raises(ExportError, match="no operator to quantize"):
        plan_weights(WEIGHTED, dict.fromkeys("acd", "asked for"))


def test_probabilities_need_no_exception_where_activations_are_floats() -> None:
    graph = Graph(WEIGHTED, ("e",))
    assert set(kept_operators(graph, {}, {}, None, {}, precision=W8A8_STATIC)) == {"e"}
    assert kept_operators(graph, {}, {}, None, {}, precision=W8) == {}


def test_a_plan_of_weights_alone_says_so() -> None:
    tensors = plan_weights(WEIGHTED, {})
    made = QuantPlan("w8", "onnx", NO_RANGES, 0, "none", tensors, {}, 5)
    assert made.lines() == ["w8 onnx: 2 weights in int8, every activation in float32"]
    assert made.quantized == {}
