"""Weights next to an .onnx file are read from its folder alone; a made-up graph ends."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from tinyml.core.errors import InputError
from tinyml.modelfile.onnx_file import graphs_of, read_onnx, tensor_array
from tinyml.modelfile.read import read_graph
from tinyml.modelfile.summary import summarize

HEADER = '<ir_version: 8, opset_import: ["" : 18, "mine" : 1]>\n'


def onnx_model(path: Path, text: str) -> Path:
    path.write_bytes(parser.parse_model(HEADER + text).SerializeToString())
    return path


def test_tensors_made_of_themselves_are_read_to_an_end(tmp_path: Path) -> None:
    steps = "{ a = Identity(b) b = Identity(a) y = MatMul(x, a) }"
    path = onnx_model(tmp_path / "cycle.onnx", f"g (float[1, 4] x) => (float[1, 4] y) {steps}")
    assert summarize(path).ops == {"Identity": 2, "MatMul": 1}


def test_a_file_without_outputs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(onnx.ModelProto(ir_version=8).SerializeToString())
    with pytest.raises(InputError, match="not a whole ONNX file: it has no output"):
        read_onnx(tmp_path / "m.onnx")


def outside(path: Path, location: str, **entries: str) -> Path:
    """A model with a weight in another file."""
    onnx_model(path, "g (float[4] x) => (float[4] y) <float[4] w = {1, 2, 3, 4}> { y = Add(x, w) }")
    model = onnx.load(path, load_external_data=False)
    (weight,) = model.graph.initializer
    weight.ClearField("float_data")
    weight.data_location = weight.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_reads_weights_that_lie_next_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(np.arange(6, dtype=np.float32).tobytes())
    path = outside(tmp_path / "m.onnx", "w.bin", offset="8", length="16")
    constant = read_graph(path).tensors["w"].constant
    assert constant is not None
    assert constant().tolist() == [2, 3, 4, 5]
    assert summarize(path).parameters == 4


@pytest.mark.parametrize(
    ("location", "entries"),
    [
        ("missing.bin", {}),
        ("../secret.bin", {}),
        ("a/../../secret.bin", {}),
        ("/etc/passwd", {}),
        ("", {}),
        ("link.bin", {}),
        ("hard.bin", {}),
        ("loop.bin", {}),
        (".", {}),
        ("pipe", {}),
        ("w.bin", {"offset": "9", "length": "16"}),
        ("w.bin", {"offset": "-1"}),
        ("w.bin", {"offset": "x"}),
    ],
)
def test_refuses_weights_anywhere_else(
    tmp_path: Path, location: str, entries: dict[str, str]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 16)
    (folder / "w.bin").write_bytes(b"\0" * 24)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "hard.bin").hardlink_to(tmp_path / "secret.bin")
    (folder / "loop.bin").symlink_to(folder / "loop.bin")
    os.mkfifo(folder / "pipe")
    path = outside(folder / "m.onnx", location, **entries)
    (weight,) = read_onnx(path).graph.initializer
    with pytest.raises(InputError, match="lies in another file, which cannot be read") as caught:
        tensor_array(path, weight)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_a_tensor_with_too_few_values_is_named(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * 8)
    path = outside(tmp_path / "m.onnx", "w.bin")
    (weight,) = read_onnx(path).graph.initializer
    with pytest.raises(InputError, match="the tensor 'w' is not whole"):
        tensor_array(path, weight)


def test_graphs_within_nodes_are_found_at_any_depth() -> None:
    def of(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
        return onnx.helper.make_graph(nodes, name, [], [])

    leaf = of("leaf")
    inner = of("inner", onnx.helper.make_node("Loop", [], [], body=leaf))
    branches = onnx.helper.make_node("If", ["x"], [], then_branch=inner, else_branch=leaf)
    several = onnx.helper.make_node("Mine", [], [], bodies=[leaf, leaf])
    found = [graph.name for graph in graphs_of(of("outer", branches, several))]
    assert sorted(found) == ["inner", "leaf", "leaf", "leaf", "leaf", "outer"]
