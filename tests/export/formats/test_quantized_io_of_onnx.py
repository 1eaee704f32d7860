"""Integer inputs and outputs of small ONNX graphs: pairs dropped, added, refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

from tinyml.core.errors import UsageError
from tinyml.core.quant_params import QuantParams, dequantize_arrays, quantize_arrays
from tinyml.core.spec import Array
from tinyml.export.formats.onnx.quantized_io import quantize_io
from tinyml.export.quantization.ranges import Range

CONSTANTS = "<float s = {0.5}, int8 z = {3}, float t = {0.25}, int8 u = {-5}>"
PAIRS = (
    "q = QuantizeLinear(x, s, z) r = DequantizeLinear(q, s, z) "
    "a = Neg(r) b = QuantizeLinear(a, t, u) y = DequantizeLinear(b, t, u)"
)
VALUES = np.array([-3.0, -0.5, 0.0, 0.5, 2.0, 8.0], np.float32)


def graph(body: str, outputs: str = "float[6] y") -> Any:
    """A model of six numbers ``x``."""
    text = f"g (float[6] x) => ({outputs}) {CONSTANTS} {{ {body} }}"
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {text}')


def ops(model: Any) -> list[str]:
    """Operators in their order."""
    return [node.op_type for node in model.graph.node]


def answers(model: Any, ends: dict[str, QuantParams], x: Array = VALUES) -> Sequence[Array]:
    """Outputs as the real numbers that they stand for."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_outputs()]
    given = session.run(None, quantize_arrays({"x": x}, ends))
    return list(dequantize_arrays(dict(zip(names, given, strict=True)), ends).values())


def test_outer_pairs_go_and_the_numbers_stay() -> None:
    before, after = graph(PAIRS), graph(PAIRS)
    ends = quantize_io(after, {})
    assert ends == {"x": QuantParams("int8", 0.5, 3), "y": QuantParams("int8", 0.25, -5)}
    assert ops(after) == ["DequantizeLinear", "Neg", "QuantizeLinear"]
    onnx.checker.check_model(after)
    assert np.array_equal(answers(before, {})[0], answers(after, ends)[0])


def test_an_end_without_a_pair_is_given_one_over_its_range() -> None:
    model = graph("y = Neg(x)")
    ends = quantize_io(model, {"x": Range(-4.0, 8.75), "y": Range(0.0, 2.55)})
    assert ops(model) == ["DequantizeLinear", "Neg", "QuantizeLinear"]
    assert ends["x"] == QuantParams("int8", pytest.approx(0.05), -48)
    assert ends["y"] == QuantParams("int8", pytest.approx(0.01), -128)
    onnx.checker.check_model(model)
    (got,) = answers(model, ends)
    assert got == pytest.approx([2.55, 0.5, 0.0, 0.0, 0.0, 0.0], abs=0.03)


def test_an_end_without_a_pair_is_of_the_type_of_the_others() -> None:
    model = graph("y = Neg(x)")
    ends = quantize_io(model, {"x": Range(-4.0, 8.75), "y": Range(0.0, 2.55)}, "uint8")
    assert ends["x"] == QuantParams("uint8", pytest.approx(0.05), 80)
    assert ends["y"] == QuantParams("uint8", pytest.approx(0.01), 0)
    (got,) = answers(model, ends)
    assert got == pytest.approx([2.55, 0.5, 0.0, 0.0, 0.0, 0.0], abs=0.03)


def test_an_output_that_is_read_inside_too_is_read_as_real_numbers() -> None:
    model = graph(f"{PAIRS} w = Abs(y)", "float[6] y, float[6] w")
    ends = quantize_io(model, {"w": Range(0.0, 25.5)})
    before = answers(graph(f"{PAIRS} w = Abs(y)", "float[6] y, float[6] w"), {})
    got = answers(model, ends)
    assert np.array_equal(got[0], before[0])
    assert got[1] == pytest.approx(before[1], abs=0.051)


def test_an_end_of_which_no_range_is_known_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="'x' stays in float32"):
        quantize_io(graph("y = Neg(x)"), {})


def test_an_output_that_is_a_constant_has_the_range_of_its_values() -> None:
    constants = f"{CONSTANTS[:-1]}, float[2] c = {{-1.0, 4.1}}>"
    outputs = "float[6] y, float[2] c, float[2] w"
    text = f"g (float[6] x) => ({outputs}) {constants} {{ {PAIRS} w = Neg(c) }}"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {text}')
    ends = quantize_io(model, {"w": Range(-4.1, 1.0)})
    assert ends["c"] == QuantParams("int8", pytest.approx(0.02), -78)
    onnx.checker.check_model(model)
    found = answers(model, ends)
    assert found[1] == pytest.approx([-1.0, 4.1], abs=0.011)
    assert found[2] == pytest.approx([1.0, -4.1], abs=0.011)


def test_inputs_that_are_no_floats_stay_what_they_are() -> None:
    text = "g (int64[2] i) => (int64[2] j) { j = Neg(i) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {text}')
    assert quantize_io(model, {}) == {}
    assert ops(model) == ["Neg"]
