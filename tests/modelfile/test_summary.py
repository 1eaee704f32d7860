"""Facts of files against counts made by hand."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.modelfile.contents import TensorSummary
from tinyml.modelfile.graph import size_bytes
from tinyml.modelfile.summary import Summary, summarize
from tinyml.modelfile.tflite_file import read_tflite, write_tflite
from tinyml.pages.summary import inspection_text
from tinyml.pipeline.inspect import summary_report

HEADER = '<ir_version: 8, opset_import: ["" : 18, "mine" : 1]>'


def onnx_summary(path: Path, text: str) -> Summary:
    from onnx import parser

    path.write_bytes(parser.parse_model(HEADER + text).SerializeToString())
    return summarize(path)


def test_reads_an_onnx_file(onnx_file: Path) -> None:
    found = summarize(onnx_file)
    assert found.inputs[0] == TensorSummary("x", (1, 1, 8), "float32")
    assert found.inputs[2] == TensorSummary("count", (2,), "int64")
    assert [tensor.name for tensor in found.outputs] == ["p", "h_out", "next"]
    assert found.ops == {"Add": 2, "Conv": 1, "ReduceMean": 1, "Relu": 1, "Softmax": 1}
    (conv,) = found.layers
    assert (conv.op, conv.weight, conv.activation) == ("Conv", "float32", "float32")
    # 3 channels of 4 positions, 3 taps each; 3 x 3 weights and 3 biases.
    assert (conv.macs, conv.parameters, found.parameters) == (36, 12, 12)
    assert found.weight_bytes == 4 * 12
    assert found.largest_activation_bytes == 3 * 4 * 4
    assert found.versions == {"ai.onnx": 18, "ir": 8}
    assert found.custom_ops == ()


def test_reads_a_tflite_file(tflite_file: Path) -> None:
    found = summarize(tflite_file)
    assert found.inputs[0] == TensorSummary("x", (1, 1, 8), "float32")
    assert found.inputs[2].dtype == "int32"
    assert {tensor.name for tensor in found.outputs} == {"p", "h_out", "next"}
    assert found.ops["FULLY_CONNECTED"] == 1
    layers = {layer.op: layer for layer in found.layers}
    head = layers["FULLY_CONNECTED"]
    assert (head.macs, head.parameters, head.weight) == (9, 12, "float32")
    (conv,) = [layer for op, layer in layers.items() if "CONV" in op]
    assert (conv.macs, conv.parameters) == (36, 12)
    assert found.macs == found.float_macs == 45
    assert found.weight_bytes == 4 * found.parameters == 4 * 24
    assert found.versions["FULLY_CONNECTED"] >= 1


@pytest.mark.parametrize(
    ("text", "macs"),
    [
        ("g (float[1, 8, 6, 6] x, float[4, 2, 3, 3] w) => (y) { y = Conv<group = 4>(x, w) }", 1152),
        ("g (float[1, 2, 5] x, float[2, 3, 4] w) => (y) { y = ConvTranspose(x, w) }", 120),
        ("g (float[7, 2, 5] x, float[5, 3] w) => (y) { y = MatMul(x, w) }", 210),
        ("g (float[5, 2] x, float[5, 3] w) => (y) { y = Gemm<transA = 1>(x, w) }", 30),
        ("g (float[2] x) => (y) { y = Exp(x) }", 0),
        ("g (float[batch, 5] x, float[5, 3] w) => (y) { y = MatMul(x, w) }", 15),
        ("g (float[1, n] x, float[n, 3] w) => (y) { y = MatMul(x, w) }", None),
    ],
)
def test_counts_the_macs_of_onnx(tmp_path: Path, text: str, macs: int | None) -> None:
    typed = text.replace("=> (y)", "=> (float[] y)")
    from onnx import parser

    model = parser.parse_model(HEADER + typed)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    assert summarize(path).macs == macs


def test_sees_the_stored_precision_through_quantization(tmp_path: Path) -> None:
    text = """
    g (float[1, 4] x) => (float[1, 2] y)
    <int8[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float s = {0.5}, uint8 z = {3}, int8 zw = {0}>
    {
        q = QuantizeLinear(x, s, z)
        d = DequantizeLinear(q, s, z)
        v = DequantizeLinear(w, s, zw)
        y = MatMul(d, v)
    }"""
    found = onnx_summary(tmp_path / "q.onnx", text)
    (layer,) = found.layers
    assert (layer.weight, layer.activation, layer.parameters) == ("int8", "uint8", 8)
    assert (found.macs, found.parameters, found.weight_bytes) == (8, 8, 8)


def test_counts_a_shared_weight_once_and_no_shape(tmp_path: Path) -> None:
    text = """
    g (float[1, 3] x) => (float[3] y)
    <float[3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}, int64[1] flat = {3}>
    { a = MatMul(x, w) b = MatMul(a, w) y = Reshape(b, flat) }"""
    found = onnx_summary(tmp_path / "s.onnx", text)
    assert found.parameters == 9
    assert [layer.parameters for layer in found.layers] == [9, 9]
    assert found.macs == 18


def test_names_operators_of_foreign_domains(tmp_path: Path) -> None:
    found = onnx_summary(
        tmp_path / "f.onnx", "g (float[2] x) => (float[2] y) { a = mine.Magic(x) y = Exp(a) }"
    )
    assert found.custom_ops == ("mine:Magic",)
    assert found.ops == {"Exp": 1, "mine:Magic": 1}


@pytest.mark.parametrize(("code", "name"), [("FlexErf", "FlexErf"), ("Mine", "CUSTOM:Mine")])
def test_names_custom_operators_of_tflite(
    tflite_file: Path, tmp_path: Path, code: str, name: str
) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = read_tflite(tflite_file)
    softmax = schema.BuiltinOperator.SOFTMAX
    (found,) = [c for c in model.operatorCodes if c.builtinCode == softmax]
    found.builtinCode = schema.BuiltinOperator.CUSTOM
    found.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    found.customCode = code
    path = tmp_path / "custom.tflite"
    write_tflite(path, model)
    assert summarize(path).custom_ops == (name,)


def test_json_has_totals_and_layers(onnx_file: Path) -> None:
    data = summary_report(summarize(onnx_file))
    assert data["macs"] == 36
    assert data["layers"][0]["op"] == "Conv"
    assert {"ops", "parameters", "largest_activation_bytes"} <= set(data)


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_a_broken_file_is_one_line_or_still_readable(
    request: pytest.FixtureRequest, format_: str, tmp_path: Path
) -> None:
    whole = request.getfixturevalue(f"{format_}_file").read_bytes()
    rng, path, refusals = random.Random(4), tmp_path / f"broken.{format_}", list[str]()
    for trial in range(200):
        data = bytearray(whole)
        if trial % 2:
            data = data[: rng.randrange(len(data))]
        else:
            for _ in range(20):
                data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            summarize(path)
        except InputError as error:
            refusals.append(error.message)
    assert len(refusals) > 100
    assert all("\n" not in message and str(path) in message for message in refusals)


def test_refuses_what_is_another_format(onnx_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(onnx_file.read_bytes())
    with pytest.raises(
        InputError, match=r"is an ONNX model, although its name ends in \.tflite"
    ) as c:
        summarize(path)
    assert c.value.hint == "rename it to m.onnx"
    path.write_bytes(bytes(100))
    with pytest.raises(InputError, match="not a TFLite file"):
        summarize(path)


@pytest.mark.parametrize(
    ("module", "ending", "extra"),
    [("onnx", "onnx", "onnx"), ("ai_edge_litert", "tflite", "tflite")],
)
def test_names_the_extra_that_reads_the_format(
    onnx_file: Path, monkeypatch: pytest.MonkeyPatch, module: str, ending: str, extra: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        summarize(onnx_file.rename(onnx_file.with_suffix(f".{ending}")))
    assert caught.value.extra == extra


@pytest.mark.parametrize(
    ("shape", "dtype", "want"),
    [
        ((2, 3), "float32", 24),
        ((3,), "int4", 2),
        ((), "int64", 8),
        (("?", 2), "float32", None),
        ((2,), "string", None),
    ],
)
def test_sizes_are_in_bytes(shape: tuple[Any, ...], dtype: str, want: int | None) -> None:
    assert size_bytes(shape, dtype) == want


@pytest.mark.parametrize(
    ("name", "data", "words", "hint"),
    [
        (
            "m.tflite",
            b"version https://git-lfs.github.com/spec/v1\n",
            "a Git LFS pointer",
            "git lfs",
        ),
        ("m.onnx", b"\n<!doctype html>", "an HTML page", "download it again"),
        ("m.tflite", b"\x08\x08:\x05graph", "an ONNX model", "rename it to m.onnx"),
        ("m.onnx", b"\x1c\0\0\0TFL3", "a TFLite model", "rename it to m.tflite"),
        ("m.onnx", b"PK\x03\x04....archive/data.pkl", "a PyTorch file", "rename it to m.pt"),
        ("m.bin", b"\x1c\0\0\0TFL3", "a TFLite model whose name does not say so", "m.tflite"),
        ("m.h5", b"\x89HDF\r\n", "an HDF5 file", "give a bundle"),
    ],
)
def test_a_file_of_another_kind_is_recognized(
    tmp_path: Path, name: str, data: bytes, words: str, hint: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=f"{name} is {words}") as caught:
        summarize(tmp_path / name)
    assert hint in str(caught.value.hint)


def test_a_negative_size_is_free_in_an_input_and_a_fault_in_a_constant(tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "m.onnx"
    onnx_summary(
        path, "g (float[1, 4] x) => (float[1, 4] y) <float[4] w = {1, 2, 3, 4}> { y = Add(x, w) }"
    )
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = -1
    path.write_bytes(model.SerializeToString())
    assert summarize(path).inputs[0].shape == (1, "?")
    model.graph.initializer[0].dims[0] = -4
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"'w' has the shape \[-4\]"):
        summarize(path)


def test_each_of_several_signatures_has_its_own_numbers(tflite_file: Path, tmp_path: Path) -> None:
    """The second one runs a copy of the graph, whose weights are the same buffers."""
    import copy

    assert summarize(tflite_file).signatures == ()
    model = read_tflite(tflite_file)
    model.subgraphs.append(copy.deepcopy(model.subgraphs[0]))
    (first,) = model.signatureDefs
    second = copy.deepcopy(first)
    first.signatureKey, second.signatureKey, second.subgraphIndex = b"encode", b"decode", 1
    for item in second.inputs:
        item.name = b"other_" + item.name
    model.subgraphs[1].operators = model.subgraphs[1].operators[:1]
    model.signatureDefs.append(second)
    write_tflite(tmp_path / "two.tflite", model)
    found = summarize(tmp_path / "two.tflite")
    encode, decode = found.signatures
    assert (encode.name, encode.parameters, encode.macs) == ("encode", 24, 45)
    assert encode.inputs == found.inputs
    assert decode.name == "decode"
    assert decode.parameters < 24
    assert {own.name for own in decode.inputs} == {f"other_{own.name}" for own in encode.inputs}
    assert found.parameters == 24
    text = inspection_text(summary_report(found))
    assert "signature encode:\n" in text
    assert "signature decode, inputs:\n" in text
