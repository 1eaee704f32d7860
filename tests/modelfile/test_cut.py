from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core.errors import InputError
from tinyml.core.tolerance import POLICIES
from tinyml.modelfile.onnx_cut import cut_onnx
from tinyml.modelfile.read import cut_file
from tinyml.modelfile.tflite_cut import cut_tflite
from tinyml.modelfile.tflite_file import read_tflite, text
from tinyml.runtimes.base import Runtime
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.ort import ONNXRUNTIME


def conv_tensor(path: Path) -> str:
    """The tensor after the mean: it needs the convolution, not the head."""
    from ai_edge_litert import schema_py_generated as schema

    model = read_tflite(path)
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if code == schema.BuiltinOperator.FULLY_CONNECTED:
            return text(model.subgraphs[0].tensors[operator.inputs[0]].name)
    raise AssertionError("the test model has a fully connected layer")


def same(runtime: Runtime, whole: Path, cut: Path, tensor: str, inputs: dict[str, Any]) -> bool:
    """Whether the cut file computes what the whole one has inside."""
    want = runtime.read_tensors(whole, [tensor], inputs)[tensor]
    session = runtime.open(cut)
    names = [spec.name for spec in session.signature.inputs]
    got = session.run({name: inputs[name] for name in names})
    assert list(got) == [tensor]
    assert np.any(want)
    return POLICIES["engine"].accepts(got[tensor], want)


def test_an_onnx_file_ends_at_the_tensor(
    onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    import onnx

    out = tmp_path / "front.onnx"
    assert cut_onnx(onnx_file, "relu", out) == ("x",)
    assert same(ONNXRUNTIME, onnx_file, out, "relu", onnx_inputs)
    graph = onnx.load(out).graph
    assert [node.op_type for node in graph.node] == ["Conv", "Relu"]
    assert {weight.name for weight in graph.initializer} == {"kernel", "bias"}


def test_a_tflite_file_ends_at_the_tensor(
    tflite_file: Path, tflite_inputs: dict[str, Any], tmp_path: Path
) -> None:
    out, tensor = tmp_path / "front.tflite", conv_tensor(tflite_file)
    assert cut_tflite(tflite_file, tensor, out) == ("x",)
    assert same(LITERT, tflite_file, out, tensor, tflite_inputs)
    assert out.stat().st_size < tflite_file.stat().st_size
    assert not read_tflite(out).metadata


def test_the_constants_of_a_cut_tflite_file_are_aligned(tflite_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "front.tflite"
    cut_tflite(tflite_file, conv_tensor(tflite_file), out)
    data = out.read_bytes()
    constants = [b.data.tobytes() for b in read_tflite(out).buffers if b.data is not None]
    long = [constant for constant in constants if len(constant) > 16]
    assert long
    assert all(data.index(constant) % 16 == 0 for constant in long)


def test_an_output_can_be_the_end(
    tflite_file: Path, tflite_inputs: dict[str, Any], onnx_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.tflite"
    assert set(cut_file(tflite_file, "h_out", out)) == {"x", "h"}
    assert same(LITERT, tflite_file, out, "h_out", tflite_inputs)
    assert cut_file(onnx_file, "next", tmp_path / "n.onnx") == ("count",)


def test_branches_keep_what_they_take_from_outside(tmp_path: Path) -> None:
    from onnx import parser

    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 18]>
        g (float[2] x, bool c) => (float[2] y) {
            a = Neg(x)
            b = If(c) <then_branch = t () => (float[2] u) { u = Abs(a) },
                       else_branch = e () => (float[2] v) { v = Identity(a) }>
            y = Neg(b)
        }""")
    path, out = tmp_path / "if.onnx", tmp_path / "out.onnx"
    path.write_bytes(model.SerializeToString())
    assert cut_onnx(path, "b", out) == ("x", "c")
    got = ONNXRUNTIME.open(out).run({"x": np.array([2, 3], np.float32), "c": np.array(True)})
    assert got["b"].tolist() == [2, 3]


@pytest.mark.parametrize("tensor", ["nowhere", "x"])
def test_refuses_to_end_where_nothing_is_computed(
    onnx_file: Path, tflite_file: Path, tmp_path: Path, tensor: str
) -> None:
    for path in (onnx_file, tflite_file):
        out = tmp_path / f"out{path.suffix}"
        name = "serving_default_x" if (tensor, path) == ("x", tflite_file) else tensor
        with pytest.raises(InputError):
            cut_file(path, name, out)
        assert not out.exists()


def test_refuses_a_file_of_another_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of \.onnx, \.tflite"):
        cut_file(tmp_path / "model.pt", "x", tmp_path / "out")
