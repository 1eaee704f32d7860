"""A file that its reader dies of, or that takes all memory, is one line of bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import parser

from tinyml.core.errors import InputError
from tinyml.core.target import find_target
from tinyml.modelfile.tflite_file import import_schema, write_tflite
from tinyml.runtimes import file_read

HEADER = '<ir_version: 8, opset_import: ["" : 18, "mine" : 1]>\n'
BODY = "g (float[2] x) => (float[2] y) { y = mine.F0(x) }\n"
FUNCTION = '<domain: "mine", opset_import: ["" : 18, "mine" : 1]> '
LEVELS = [
    f"{FUNCTION} F{n} (i) => (o) {{ a = mine.F{n + 1}(i) o = mine.F{n + 1}(a) }}" for n in range(40)
]
GRAPHS = {
    "a function that calls itself": f"{BODY}{FUNCTION} F0 (i) => (o) {{ o = mine.F0(i) }}",
    "functions that double at each level": "\n".join(
        [BODY, *LEVELS, f"{FUNCTION} F40 (i) => (o) {{ o = Exp(i) }}"]
    ),
    "a billion outputs": "g (float[1, 4] x) => (float[] y) "
    "{ y = Split<num_outputs = 1000000000>(x) }",
}


def refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_read, "LEAST_MB", 1024)
    with pytest.raises(InputError) as caught:
        file_read.report_of(path, find_target("rpi4"))
    assert caught.value.exit_code == 3
    assert caught.value.message.startswith(str(path))
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if "double" in name else []) for name in GRAPHS],
)
def test_an_onnx_file_that_is_made_to_harm_its_reader(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(parser.parse_model(HEADER + GRAPHS[name]).SerializeToString())
    refused(path, monkeypatch)


def test_a_sparse_tensor_that_claims_more_than_there_is_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.tflite"
    write_tflite(path, _claiming(1 << 30))
    refused(path, monkeypatch)


def _claiming(columns: int) -> Any:
    """A fully connected layer whose weight of 4 x ``columns`` stores one value."""
    schema = import_schema()
    model, graph, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT()
    weight, shape = schema.BufferT(), {"x": (1, columns), "w": (4, columns), "y": (1, 4)}
    weight.data = np.ones(1, np.float32).view(np.uint8)
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT(), weight]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    model.operatorCodes, graph.tensors = [code], []
    for name, sizes in shape.items():
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, np.array(sizes, np.int32), 0
        graph.tensors.append(tensor)
    graph.tensors[1].buffer, graph.tensors[1].sparsity = 1, _one_value(schema)
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0, 1], [2]
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [2]
    return model


def _one_value(schema: Any) -> Any:
    made, rows, row = schema.SparsityParametersT(), *[schema.DimensionMetadataT() for _ in "ab"]
    made.traversalOrder, made.blockMap = [0, 1], []
    rows.format, rows.denseSize = schema.DimensionType.DENSE, 4
    row.format = schema.DimensionType.SPARSE_CSR
    row.arraySegmentsType = row.arrayIndicesType = schema.SparseIndexVector.Int32Vector
    row.arraySegments, row.arrayIndices = schema.Int32VectorT(), schema.Int32VectorT()
    row.arraySegments.values, row.arrayIndices.values = [0, 1, 1, 1, 1], [0]
    made.dimMetadata = [rows, row]
    return made
