"""The operators of a file in their order: what they read, and where the file can be cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinyml.modelfile.onnx_edit import name_nodes
from tinyml.modelfile.operator_list import list_operators

TEXT = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[1, 2, 4] x) => (float[1, 2, 4] y) <float[2, 2, 1] w = {1, 2, 3, 4}, int8[2] z = {1, 2}>
{
    k = Cast<to = 1>(z)
    a = Conv(x, w)
    b = Relu(a)
    c = Mul(b, b)
    d = Sigmoid(b)
    y = Add(c, d)
}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    from onnx import parser

    path = tmp_path / "g.onnx"
    path.write_bytes(parser.parse_model(TEXT).SerializeToString())
    return path


def test_operators_have_their_sources_and_multiply_accumulates(file: Path) -> None:
    found = {own.name: own for own in list_operators(file)}
    assert list(found) == ["k", "a", "b", "c", "d", "y"]
    assert (found["a"].macs, found["b"].macs) == (16, 0)
    assert (found["a"].sources, found["y"].sources) == ((), ("c", "d"))
    assert (found["b"].front, found["d"].front) == ("a", "")
    assert [own.name for own in found.values() if own.is_fixed] == ["k"]


def test_a_file_can_be_cut_where_all_that_comes_before_is_needed(file: Path) -> None:
    assert [own.name for own in list_operators(file) if own.is_cut] == ["a", "b", "c", "y"]


def test_a_copy_has_a_name_for_every_node(file: Path, tmp_path: Path) -> None:
    import onnx

    name_nodes(file, tmp_path / "named.onnx")
    before, after = (onnx.load(path).graph for path in (file, tmp_path / "named.onnx"))
    assert [node.name for node in before.node] == [""] * 6
    assert [node.name for node in after.node] == ["k", "a", "b", "c", "d", "y"]
    assert after.initializer == before.initializer
