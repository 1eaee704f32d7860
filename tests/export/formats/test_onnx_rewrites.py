"""Each rewrite of the ONNX graph: fires, refuses, twice is once, numbers hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir
import pytest
from fires_in import named
from onnx.reference import ReferenceEvaluator
from small_networks import SIGNATURE, STAGES, network, noise

from tinyml.export.capture.program import capture
from tinyml.export.formats.onnx import rewrites
from tinyml.export.formats.onnx.rewrites.drop_unused import drop_unused
from tinyml.export.formats.onnx.rewrites.drop_zero_bias import drop_zero_bias
from tinyml.export.formats.onnx.rewrites.fold_constants import fold_constants
from tinyml.export.formats.onnx.rewrites.share_constants import share_constants
from tinyml.export.formats.onnx.rewrites.strip_metadata import strip_metadata
from tinyml.export.formats.onnx.write import to_onnx
from tinyml.export.outcome import Outcome
from tinyml.export.rewrites import rewrite

HEAD = '<ir_version: 8, opset_import: ["" : 18]> graph (float[1, 2, 4] x) => (float[1, 2, 4] y) '
WEIGHT = "w = Constant<value = float[2, 2, 1] {1.0, 2.0, 3.0, 4.0}>() "
ZERO_BIAS = "b = Constant<value = float[2] {0.0, 0.0}>() "


def graph(body: str) -> ir.Model:
    return ir.serde.deserialize_model(onnx.parser.parse_model(HEAD + "{" + body + "}"))


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def answer(model: ir.Model) -> np.ndarray:
    found = ReferenceEvaluator(ir.to_proto(model)).run(None, {"x": noise(1, 2, 4)})
    assert isinstance(found, list)
    return found[0]


FIRES: dict[str, tuple[Callable[[ir.Model], Outcome], str, int, list[str]]] = {
    "fold_constants": (
        fold_constants,
        "a = Constant<value_float = 2.0>() b = Constant<value_float = 3.0>() "
        "c = Mul(a, b) d = Sqrt(c) y = Mul(x, d)",
        2,
        ["Mul"],
    ),
    "fold_constants, of several outputs": (
        fold_constants,
        "w = Constant<value = float[2, 4] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0}>() "
        "s = Constant<value_ints = [1, 3]>() a, b = Split<axis = 1>(w, s) c = Mul(x, a) "
        "d = ReduceSum<keepdims = 0>(b) y = Mul(c, d)",
        2,
        ["Mul", "Mul"],
    ),
    "drop_zero_bias": (
        drop_zero_bias,
        WEIGHT + ZERO_BIAS + "y = Conv(x, w, b)",
        1,
        ["Constant", "Constant", "Conv"],
    ),
    "drop_unused": (drop_unused, "a = Relu(x) b = Sqrt(a) y = Mul(x, x)", 2, ["Mul"]),
    "share_constants": (
        share_constants,
        "a = Constant<value_float = 2.0>() b = Constant<value_float = 2.0>() "
        "c = Constant<value_float = 3.0>() d = Mul(x, a) e = Mul(d, b) y = Mul(e, c)",
        1,
        ["Mul", "Mul", "Mul"],
    ),
}


@pytest.mark.parametrize("name", FIRES)
def test_a_pass_fires_once_and_the_numbers_hold(name: str) -> None:
    apply, body, count, left = FIRES[name]
    before, after = graph(body), graph(body)
    if apply is share_constants:
        drop_unused(after)  # makes the constants initializers
    assert apply(after) == Outcome(count)
    assert ops(after) == left
    np.testing.assert_array_equal(answer(after), answer(before))
    assert apply(after).count == 0


@pytest.mark.parametrize(
    ("apply", "body", "why"),
    [
        (fold_constants, "e = Constant<value_float = 1e-10>() y = Add(x, e)", ""),
        (fold_constants, "e = Constant<value_float = 1.000009>() y = Mul(x, e)", ""),
        (drop_zero_bias, WEIGHT + "y = Conv(x, w)", ""),
        (
            drop_zero_bias,
            WEIGHT + "b = Constant<value = float[2] {0.0, 1e-30}>() y = Conv(x, w, b)",
            "Bias is not all zeros.",
        ),
        (
            drop_zero_bias,
            WEIGHT + "a = ReduceSum<keepdims = 0>(x) s = Constant<value_ints = [2]>() "
            "b = Expand(a, s) y = Conv(x, w, b)",
            "Bias is not a constant/initializer.",
        ),
        (drop_unused, "a = Relu(x) y = Sqrt(a)", ""),
    ],
    ids=["small sum", "factor near 1", "no bias", "tiny bias", "computed bias", "all used"],
)
def test_a_pass_refuses(apply: Callable[[ir.Model], Outcome], body: str, why: str) -> None:
    before, after = graph(body), graph(body)
    assert apply(after) == Outcome(0, {"y": why} if why else {})
    np.testing.assert_array_equal(answer(after), answer(before))


def test_constants_of_other_type_shape_or_sign_of_zero_are_not_shared() -> None:
    model = graph(
        "a = Constant<value = float[1] {0.0}>() b = Constant<value = float[1] {-0.0}>() "
        "c = Constant<value = float {0.0}>() d = Constant<value = int32[1] {0}>() "
        "e = Cast<to = 1>(d) f = Add(a, b) g = Add(c, e) h = Add(f, g) y = Add(x, h)"
    )
    drop_unused(model)
    assert share_constants(model).count == 0


def test_metadata_is_stripped_once_and_the_numbers_hold() -> None:
    before, after = graph("y = Relu(x)"), graph("y = Relu(x)")
    node = after.graph.node(0)
    node.metadata_props["trace"] = "File /home/someone/model.py"
    node.outputs[0].metadata_props["shape"] = "?"
    after.graph.doc_string, after.producer_name = "a story", "pytorch"
    assert strip_metadata(after).count == 4
    assert ir.to_proto(after) == ir.to_proto(before)
    assert strip_metadata(after).count == 0


def test_a_tensor_read_from_a_protobuf_message_loses_its_doc_string() -> None:
    """PyTorch's functions, such as `expm1`, bring constants of this kind."""
    weight = onnx.numpy_helper.from_array(np.ones(3, np.float32), "w")
    weight.doc_string = "a story"
    model = graph("y = Relu(x)")
    value = ir.Value(name="w", const_value=ir.serde.TensorProtoTensor(weight))
    model.graph.register_initializer(value)
    assert strip_metadata(model).count == 1
    assert ir.to_proto(model).graph.initializer[0].doc_string == ""


def test_those_that_name_the_small_network_fire_in_it() -> None:
    captured, _ = rewrite(capture(network(), SIGNATURE, STAGES))
    counts = rewrites.rewrite(to_onnx(captured))
    assert list(counts) == list(rewrites.REWRITES)
    assert all(counts[name] for name in named(rewrites.REWRITES, "small"))
