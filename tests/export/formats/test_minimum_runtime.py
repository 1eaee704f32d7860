"""The oldest runtime of a file: the newest that one of its operator versions asks for."""

from __future__ import annotations

import pytest
from ai_edge_litert.interpreter import Interpreter

from tinyml.export.formats.tflite.minimum_runtime import minimum_runtime, newest_operator
from tinyml.export.formats.tflite.operator_releases import RELEASES
from tinyml.modelfile.tflite_file import import_schema, pack


@pytest.mark.parametrize(
    ("operators", "oldest"),
    [
        ([], "tflite-runtime>=1.5"),
        ([("ADD", 1)], "tflite-runtime>=1.5"),
        ([("ADD", 1), ("FULLY_CONNECTED", 5)], "tflite-runtime>=2.0"),
        ([("CONV_2D", 1), ("TANH", 1)], "tflite-runtime>=1.14"),  # numbers, not text
        ([("GELU", 1), ("BROADCAST_TO", 2)], "tflite-runtime>=2.9"),
        ([("CONV_2D", 7)], "tflite-runtime>=2.11"),
        ([("CONV_2D", 8), ("STRIDED_SLICE", 8)], "ai-edge-litert>=1.0"),  # later than all before
        ([("COS", 2), ("CONV_2D", 8)], "ai-edge-litert>=2.1.6"),
        ([("STABLEHLO_ADD", 1)], "ai-edge-litert>=1.0"),
        ([("ADD", 9)], "ai-edge-litert>=2.3"),
        ([("BROADCAST_TO", 1)], "ai-edge-litert>=2.3"),
        ([("NEW_OPERATOR", 1)], "ai-edge-litert>=2.3"),
    ],
)
def test_the_newest_that_an_operator_asks_for(
    operators: list[tuple[str, int]], oldest: str
) -> None:
    assert minimum_runtime(operators) == oldest


def test_the_operator_that_asks_for_it_is_found() -> None:
    assert newest_operator([("ADD", 1), ("COS", 2), ("CONV_2D", 8)]) == ("COS", 2)


def opens(name: str, version: int) -> bool:
    """Whether the installed LiteRT has the operator version: it looks each of a file up."""
    schema = import_schema()
    model = schema.ModelT()
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
    tensor, graph = schema.TensorT(), schema.SubGraphT()
    tensor.name, tensor.shape, tensor.buffer = "x", [1], 0
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor], [0], [0], []
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    try:
        Interpreter(model_content=pack(model))
    except ValueError:
        return False
    return True


def test_the_table_ends_where_the_litert_that_is_pinned_ends() -> None:
    for name, releases in RELEASES.items():
        assert opens(name, len(releases)), name
        assert not opens(name, len(releases) + 1), name
