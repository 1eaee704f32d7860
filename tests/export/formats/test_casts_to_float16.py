"""Casts to float16: fire, refuse (kept, no float16, unheld), twice is once, numbers hold."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator
from small_networks import SIGNATURE, STAGES, network, noise

from tinyml.core.errors import ExportError
from tinyml.export.capture.program import capture
from tinyml.export.formats.onnx.cast_to_float16 import cast_to_float16
from tinyml.export.formats.onnx.rewrites.drop_unused import drop_unused
from tinyml.export.formats.tflite.cast_weights_to_float16 import cast_weights_to_float16
from tinyml.export.formats.tflite.names import name_stages
from tinyml.export.formats.tflite.write import to_tflite
from tinyml.export.parity import cases
from tinyml.export.rewrites import rewrite
from tinyml.modelfile import tflite_file
from tinyml.runtimes.ort import ONNXRUNTIME

HEAD = '<ir_version: 8, opset_import: ["" : 18]> graph (float[1, 2, 4] x) => (float[1, 2, 4] y) '
WEIGHT = "w = Constant<value = float[2, 2, 1] {0.1, 2.0, -3.0, 4.0}>() "


def graph(body: str) -> ir.Model:
    """The model with constants as initializers, types inferred, nodes named by their output."""
    proto = onnx.parser.parse_model(HEAD + "{" + body + "}")
    model = ir.serde.deserialize_model(onnx.shape_inference.infer_shapes(proto))
    drop_unused(model)
    for node in model.graph:
        node.name = node.outputs[0].name
    return model


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def answer(model: ir.Model) -> np.ndarray:
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    found = ReferenceEvaluator(proto).run(None, {"x": noise(1, 2, 4)})
    assert isinstance(found, list)
    return found[0]


def types(model: ir.Model) -> dict[str, str]:
    return {str(v.name): str(v.dtype) for node in model.graph for v in node.outputs}


def test_values_and_constants_become_float16_between_ends_that_stay() -> None:
    body = WEIGHT + "a = Conv(x, w) y = Relu(a)"
    before, after = graph(body), graph(body)
    assert cast_to_float16(after) == 3
    assert ops(after) == ["Cast", "Conv", "Relu", "Cast"]
    assert types(after) == {"x~half": "FLOAT16", "a": "FLOAT16", "y~half": "FLOAT16", "y": "FLOAT"}
    assert {n: str(v.dtype) for n, v in after.graph.initializers.items()} == {"w": "FLOAT16"}
    got, want = answer(after), answer(before)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=2.0**-9 * np.abs(want).max())
    assert np.any(got != want)


def test_twice_is_once() -> None:
    model = graph(WEIGHT + "a = Conv(x, w) y = Relu(a)")
    cast_to_float16(model)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    assert cast_to_float16(model) == 0
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_between_two_nodes_that_are_kept_nothing_is_cast() -> None:
    body = "e = Constant<value_float = 1e-10>() a = Relu(x) b = Add(a, e) c = Log(b) y = Tanh(c)"
    model = graph(body)
    cast_to_float16(model, {"b", "c"})
    assert types(model) | {"b": "FLOAT", "c": "FLOAT"} == types(model)
    assert ops(model) == ["Cast", "Relu", "Cast", "Add", "Log", "Cast", "Tanh", "Cast"]
    np.testing.assert_allclose(answer(model), answer(graph(body)), atol=2e-3)


def test_a_constant_that_both_need_is_there_in_both_types() -> None:
    model = graph(WEIGHT + "a = Conv(x, w) y = Conv(a, w)")
    cast_to_float16(model, {"y"})
    names = {n: str(v.dtype) for n, v in model.graph.initializers.items()}
    assert names == {"w": "FLOAT", "w~half": "FLOAT16"}


@pytest.mark.parametrize(
    "body",
    [
        # no float16 in ONNX's table of BlackmanWindow-like types: Range
        "o = Constant<value_float = 1.0>() z = Constant<value_float = 0.0>() "
        "n = Constant<value_float = 4.0>() r = Range(z, n, o) y = Add(x, r)",
        # a constant above 65504, and one whose every value is lost
        "e = Constant<value_float = 70000.0>() y = Mul(x, e)",
        "e = Constant<value_float = 1e-9>() y = Add(x, e)",
    ],
    ids=["no float16", "overflow", "underflow"],
)
def test_what_has_no_float16_computes_in_float32(body: str) -> None:
    model = graph(body)
    cast_to_float16(model)
    kept = next(node for node in model.graph if node.op_type in ("Range", "Mul", "Add"))
    assert str(kept.outputs[0].dtype) == "FLOAT"
    np.testing.assert_allclose(answer(model), answer(graph(body)), rtol=2e-3)


def test_operands_that_are_float32_by_definition_stay() -> None:
    body = (
        "s = Constant<value = float[3] {1.0, 1.0, 1.0}>() "
        'a = Resize<mode = "nearest">(x, , s) y = Relu(a)'
    )
    model = graph(body)
    cast_to_float16(model)
    assert types(model)["a"] == "FLOAT16"
    assert {n: str(v.dtype) for n, v in model.graph.initializers.items()} == {"s": "FLOAT"}
    np.testing.assert_allclose(answer(model), answer(graph(body)), atol=2e-3)


def test_a_mask_is_made_in_float16_and_integers_stay_integers() -> None:
    body = (
        "z = Constant<value_float = 0.0>() m = Greater(x, z) f = Cast<to = 1>(m) "
        "i = Cast<to = 7>(x) j = Cast<to = 1>(i) k = Add(f, j) y = Mul(x, k)"
    )
    model = graph(body)
    cast_to_float16(model)
    found = types(model)
    assert (found["m"], found["f"], found["i"], found["j"]) == (
        "BOOL",
        "FLOAT16",
        "INT64",
        "FLOAT16",
    )
    np.testing.assert_allclose(answer(model), answer(graph(body)), atol=5e-3)


def test_a_branch_is_refused() -> None:
    body = (
        "c = Constant<value_ints = [1]>() b = Cast<to = 9>(c) s = Squeeze(b) "
        "y = If(s) <then_branch = t () => (float[1, 2, 4] p) {p = Relu(x)}, "
        "else_branch = e () => (float[1, 2, 4] q) {q = Tanh(x)}>"
    )
    with pytest.raises(ExportError, match="branch or loop at 'y'"):
        cast_to_float16(graph(body))


def test_onnxruntime_takes_what_is_written(tmp_path) -> None:
    model = graph(WEIGHT + "a = Conv(x, w) b = Sigmoid(a) y = Softmax(b)")
    cast_to_float16(model)
    (tmp_path / "m.onnx").write_bytes(ir.to_proto(model).SerializeToString())
    got = ONNXRUNTIME.open(tmp_path / "m.onnx").run({"x": noise(1, 2, 4)})
    np.testing.assert_allclose(got["y"], answer(model), atol=2e-3)


@pytest.fixture(scope="module")
def converted() -> bytes:
    """The small network in TFLite, named."""
    captured = rewrite(capture(network(), SIGNATURE, STAGES))[0]
    model = tflite_file.unpack(to_tflite(captured))
    name_stages(model, captured)
    return tflite_file.pack(model)


def answers(data: bytes) -> dict[str, np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    engine = Interpreter(model_content=data)
    found: dict[str, np.ndarray] = engine.get_signature_runner()(**cases(SIGNATURE, 0)["random"])
    return found


def test_weights_become_float16_and_the_numbers_hold(converted: bytes) -> None:
    model, count = cast_weights_to_float16(tflite_file.unpack(converted))
    packed = tflite_file.pack(model)
    assert count == 6
    assert len(packed) < len(converted)
    for name, want in answers(converted).items():
        got = answers(packed)[name]
        np.testing.assert_allclose(got, want, atol=2.0**-6 * np.abs(want).max())
        assert np.any(got != want)
    versions = {tflite_file.operator_name(c): c.version for c in model.operatorCodes}
    assert versions["DEQUANTIZE"] == 3
    again, count = cast_weights_to_float16(tflite_file.unpack(packed))
    assert count == 0
    assert tflite_file.pack(again) == packed


def test_weights_of_what_is_kept_stay(converted: bytes) -> None:
    _, all_of_them = cast_weights_to_float16(tflite_file.unpack(converted))
    model, fewer = cast_weights_to_float16(tflite_file.unpack(converted), {"logits"})
    assert fewer == all_of_them - 1
    model, none = cast_weights_to_float16(tflite_file.unpack(converted), set(STAGES) - {"second#2"})
    assert 0 < none < fewer  # one weight, two calls: one of them kept
    names = {tflite_file.text(t.name) for t in model.subgraphs[0].tensors}
    assert set(STAGES) & names == set(STAGES) & {
        tflite_file.text(t.name) for t in tflite_file.unpack(converted).subgraphs[0].tensors
    }


def test_values_that_came_without_a_type_are_cast_too() -> None:
    body = "a = Relu(x) b = Tanh(a) y = Sigmoid(b)"
    model = ir.serde.deserialize_model(onnx.parser.parse_model(HEAD + "{" + body + "}"))
    assert cast_to_float16(model) == 3
    np.testing.assert_allclose(answer(model), answer(graph(body)), atol=2e-3)
