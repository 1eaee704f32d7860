"""A file whose names are not those that were asked for is a bug of its writer or its quantizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from torch import nn

from tinyml.core.errors import InternalError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import capture
from tinyml.export.check_names import check_names, check_quantized_names, check_values
from tinyml.export.facts import Facts
from tinyml.export.formats.onnx import write
from tinyml.export.formats.onnx.names import name_stages
from tinyml.export.quantization.plan import QuantPlan
from tinyml.export.quantization.run_quantizer import AnyPlan, Quantized, run_quantizer
from tinyml.modelfile.graph import Graph, Operator
from tinyml.modelfile.graph import Tensor as FileTensor

GRAPH = Graph(
    (Operator("y", "RELU", ("x",), ("y",)),),
    ("y",),
    ("x",),
    {name: FileTensor(name, (1,), "float32") for name in ("x", "y")},
    format="tflite",
)
OF_GRAPH = Signature((TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))


def test_a_file_with_the_names_that_were_asked_for_passes() -> None:
    check_names(GRAPH, OF_GRAPH, {"relu": "y", "gone": None})


@pytest.mark.parametrize(
    ("signature", "stages", "says"),
    [
        (Signature(OF_GRAPH.inputs, (TensorSpec("z", (1,)),)), {}, r"outputs \['y'\] instead of"),
        (Signature((TensorSpec("w", (1,)),), OF_GRAPH.outputs), {}, r"inputs \['x'\] instead of"),
        (OF_GRAPH, {"relu": "relu"}, "no 'relu', of stage 'relu'"),
    ],
    ids=["output", "input", "stage"],
)
def test_a_file_with_other_names_is_a_bug(
    signature: Signature, stages: dict[str, str | None], says: str
) -> None:
    with pytest.raises(InternalError, match=says):
        check_names(GRAPH, signature, stages)


@pytest.mark.parametrize(
    ("operands", "made", "says"),
    [
        ("x", "x", "two values called 'x'"),
        ("x", "c", "two values called 'c'"),
        ("w", "y", r"RELU 'y' reads 'w', which nothing makes before it"),
        ("y", "y", r"RELU 'y' reads 'y', which nothing makes before it"),
    ],
)
def test_a_name_that_is_twice_or_nowhere_is_a_bug(operands: str, made: str, says: str) -> None:
    tensors = {name: FileTensor(name, (1,), "float32") for name in ("x", "y")}
    tensors["c"] = FileTensor("c", (1,), "float32", constant=lambda: np.zeros(1, np.float32))
    operator = Operator(made, "RELU", (operands,), (made,))
    with pytest.raises(InternalError, match=says):
        check_values(Graph((operator,), ("y",), ("x",), tensors, format="onnx"))
    check_values(GRAPH)


def test_a_writer_that_breaks_names_raises_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime would refuse the file, and the model would get the blame."""

    def break_names(graph: ir.Model, *given: Any) -> dict[str, str | None]:
        named = name_stages(graph, *given)
        graph.graph.node(0).outputs[0].name = "input"
        return named

    monkeypatch.setattr(write, "name_stages", break_names)
    signature = Signature((TensorSpec("input", (1, 4)),), (TensorSpec("y", (1, 4)),))
    captured = capture(nn.Sequential(nn.Sigmoid(), nn.Tanh()).eval(), signature)
    with pytest.raises(InternalError, match="two values called 'input'"):
        write.write(captured, tmp_path / "m.onnx")


def model(end: str) -> bytes:
    """An .onnx file of ``end = relu(x)``."""
    text = f"g (float[4] x) => (float[4] {end}) {{ {end} = Relu(x) }}"
    parsed = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {text}')
    return bytes(parsed.SerializeToString())


@pytest.mark.parametrize(
    ("end", "stage", "says"),
    [("z", None, r"outputs \['z'\] instead of \['y'\]"), ("y", "gone", "no 'gone', of stage 's'")],
)
def test_a_quantizer_that_changes_names_is_a_bug(
    tmp_path: Path, end: str, stage: str | None, says: str
) -> None:
    def quantize(_path: Path, _plan: AnyPlan, _facts: Facts, _dense: bool) -> Quantized:
        return Quantized(model(end), {}, {"s": stage}, "onnxruntime>=1.14")

    plan = QuantPlan("w8a8-static", "onnx", "min-max", 1, "noise", {}, {})
    paths = [
        tmp_path / name for name in ("f.onnx", "plan.json", "facts.json", "q.onnx", "out.json")
    ]
    paths[0].write_bytes(model("y"))
    plan.save(paths[1])
    Facts("onnx", "fp32", {}, {"s": "y"}, {}, "onnxruntime>=1.14").save(paths[2])
    with pytest.raises(InternalError, match=says):
        run_quantizer(quantize, [str(path) for path in paths])
    check_quantized_names(paths[0], paths[0], {"s": "y"})
