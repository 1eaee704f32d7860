"""Made-up files: each lie is refused in one line, within bounds, before anything is read."""

from __future__ import annotations

import inspect
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core.errors import InputError
from tinyml.modelfile.onnx_file import read_onnx, tensor_array
from tinyml.modelfile.summary import summarize
from tinyml.modelfile.tflite_file import import_schema, read_tflite, write_tflite
from tinyml.modelfile.tflite_schema import TABLES
from tinyml.runtimes import file_read
from tinyml.runtimes.lint import lint

HEADER = '<ir_version: 8, opset_import: ["" : 18, "mine" : 1]>\n'


def generated(block: str) -> dict[int, str]:
    """Slot -> what lies there, as the generated class ``block`` reads it."""
    found: dict[int, str] = {}
    for name, body in re.findall(r"    def (\w+)\(self[^)]*\):\n((?:        .*\n)+)", block):
        slot = re.search(r"_tab\.Offset\((\d+)\)", body)
        if slot is None or name.endswith(("AsNumpy", "Length", "IsNone")):
            continue
        number, item = (int(slot.group(1)) - 4) // 2, re.search(r"obj = (\w+)\(\)", body)
        if "_tab.String(" in body:
            found[number] = "string"
        elif "_tab.Vector(" in body and item is None:
            size = re.search(r"\(j \* (\d+)\)", body)
            assert size is not None
            found[number] = f"[{size.group(1)}]"
        elif item is not None:
            found[number] = f"[{item.group(1)}]" if "_tab.Vector(" in body else item.group(1)
        elif "_tab.Union(" in body:
            found[number] = "|"
    return found


def test_the_table_of_pointers_equals_the_generated_schema() -> None:
    source = inspect.getsource(import_schema())
    blocks = {b.split("(")[0]: b for b in re.split(r"\nclass ", source) if "def Init(" in b}
    want = {name: slots for name, block in blocks.items() if (slots := generated(block))}
    ours = {
        name: {slot: "|" if kind[0] == "|" else kind for slot, kind in slots.items()}
        for name, slots in TABLES.items()
    }
    assert ours == want


def network(tensors: int = 1) -> Any:
    schema = import_schema()
    model, graph, buffer = schema.ModelT(), schema.SubGraphT(), schema.BufferT()
    buffer.data = np.zeros(16, np.uint8)
    model.version, model.buffers, model.subgraphs = 3, [schema.BufferT(), buffer], [graph]
    graph.tensors = []
    for number in range(tensors):
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f"t{number}", np.array([4], np.int32)
        graph.tensors.append(tensor)
    graph.inputs, graph.outputs = [0], [0]
    return model


def vector(data: bytes, table: int, slot: int) -> int:
    """Where the vector in ``slot`` of ``table`` begins, its length first."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    place = table + struct.unpack_from("<H", data, vtable + 4 + 2 * slot)[0]
    return place + int(struct.unpack_from("<I", data, place)[0])


def tables(data: bytes, slot: int) -> tuple[int, int]:
    """(the vector of tables in ``slot`` of the root, its first table)."""
    found = vector(data, struct.unpack_from("<I", data)[0], slot)
    return found, found + 4 + struct.unpack_from("<I", data, found + 4)[0]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "made.tflite"
    write_tflite(path, network())
    return path


def test_refuses_a_vector_longer_than_the_file(made: Path) -> None:
    data = bytearray(made.read_bytes())
    struct.pack_into("<I", data, tables(data, 2)[0], 0x7FFFFFFF)
    made.write_bytes(data)
    with pytest.raises(InputError, match="bytes that the file does not have, at Model"):
        read_tflite(made)


@pytest.mark.parametrize("aim", [0x7FFFFFF0, 0xFFFFFFF0])
def test_refuses_an_offset_out_of_range(made: Path, aim: int) -> None:
    data = bytearray(made.read_bytes())
    struct.pack_into("<I", data, tables(data, 2)[0] + 4, aim)
    made.write_bytes(data)
    with pytest.raises(InputError, match="outside of the file"):
        read_tflite(made)


def test_refuses_a_small_file_that_says_one_large_table_many_times(tmp_path: Path) -> None:
    path, model = tmp_path / "shared.tflite", network(2000)
    model.subgraphs += [import_schema().SubGraphT() for _ in range(4000)]
    write_tflite(path, model)
    data = bytearray(path.read_bytes())
    place, large = tables(data, 2)
    for entry in range(place + 4, place + 4 + 4 * 4001, 4):
        struct.pack_into("<I", data, entry, large - entry)
    path.write_bytes(data)
    with pytest.raises(InputError, match="many pointers to one place"):
        read_tflite(path)


def onnx_model(path: Path, text: str) -> Path:
    from onnx import parser

    path.write_bytes(parser.parse_model(HEADER + text).SerializeToString())
    return path


BODY = "g (float[2] x) => (float[2] y) { y = mine.F0(x) }\n"


def test_refuses_a_function_that_calls_itself(tmp_path: Path) -> None:
    function = '<domain: "mine", opset_import: ["" : 18, "mine" : 1]> F0 (i) => (o) '
    path = onnx_model(tmp_path / "loop.onnx", BODY + function + "{ o = mine.F0(i) }")
    with pytest.raises(InputError, match="'F0' calls itself"):
        summarize(path)


def test_refuses_functions_that_double_at_each_level(tmp_path: Path) -> None:
    head = '<domain: "mine", opset_import: ["" : 18, "mine" : 1]>'
    levels = [
        f"{head} F{n} (i) => (o) {{ a = mine.F{n + 1}(i) o = mine.F{n + 1}(a) }}" for n in range(40)
    ]
    last = f"{head} F40 (i) => (o) {{ o = Exp(i) }}"
    path = onnx_model(tmp_path / "laughs.onnx", BODY + "\n".join([*levels, last]))
    with pytest.raises(InputError, match="nodes with its functions written out"):
        summarize(path)


def test_values_made_of_themselves_are_read_to_an_end(tmp_path: Path) -> None:
    steps = "{ a = Identity(b) b = Identity(a) y = MatMul(x, a) }"
    path = onnx_model(tmp_path / "cycle.onnx", f"g (float[1, 4] x) => (float[1, 4] y) {steps}")
    assert summarize(path).ops == {"Identity": 2, "MatMul": 1}
    assert lint(path) == ()


def test_refuses_messages_that_are_tiny_in_the_file_and_large_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinyml.modelfile.verify_protobuf.MOST_FIELDS", 1000)
    path = onnx_model(tmp_path / "many.onnx", "g (float[2] x) => (float[2] y) { y = Exp(x) }")
    nodes = b"\x0a\x00" * 5000
    path.write_bytes(path.read_bytes() + b"\x3a" + b"\x90\x4e" + nodes)
    with pytest.raises(InputError, match="more than 1,000 fields"):
        read_onnx(path)


def test_a_file_whose_shape_inference_takes_all_memory_ends_its_reader_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_read, "LEAST_MB", 800)
    path = onnx_model(
        tmp_path / "split.onnx",
        "g (float[1, 4] x) => (float[] y) { y = Split<num_outputs = 1000000000>(x) }",
    )
    with pytest.raises(InputError, match=r"split\.onnx: its reader|not a valid|too much memory"):
        file_read.report_of(path)


def outside(path: Path, location: str, **told: str) -> Path:
    import onnx

    onnx_model(path, "g (float[4] x) => (float[4] y) <float[4] w = {1, 2, 3, 4}> { y = Add(x, w) }")
    model = onnx.load(path, load_external_data=False)
    (weight,) = model.graph.initializer
    weight.ClearField("float_data")
    weight.data_location = weight.EXTERNAL
    for key, value in {"location": location, **told}.items():
        weight.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_reads_weights_that_lie_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(np.arange(6, dtype=np.float32).tobytes())
    path = outside(tmp_path / "m.onnx", "w.bin", offset="8", length="16")
    (weight,) = read_onnx(path).graph.initializer
    assert tensor_array(path, weight).tolist() == [2, 3, 4, 5]
    assert summarize(path).parameters == 4


@pytest.mark.parametrize(
    ("location", "told", "match"),
    [
        ("missing.bin", {}, "which does not exist"),
        ("../secret.bin", {}, "which is not a file in its folder"),
        ("a/../../secret.bin", {}, "which is not a file in its folder"),
        ("/etc/passwd", {}, "which is not a file in its folder"),
        ("C:\\secret.bin", {}, "which is not a file in its folder"),
        ("", {}, "which is not a file in its folder"),
        ("link.bin", {}, "a link out of its folder"),
        ("loop.bin", {}, "which does not exist"),
        (".", {}, "which is not a file"),
        ("pipe", {}, "which is not a file"),
        ("w.bin", {"offset": "9", "length": "16"}, "at bytes 9 to 25 of 24"),
        ("w.bin", {"offset": "-1"}, "at bytes"),
        ("w.bin", {"offset": "x"}, "not a number"),
    ],
)
def test_refuses_weights_anywhere_else(
    tmp_path: Path, location: str, told: dict[str, str], match: str
) -> None:
    import os

    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 16)
    (folder / "w.bin").write_bytes(b"\0" * 24)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "loop.bin").symlink_to(folder / "loop.bin")
    os.mkfifo(folder / "pipe")
    path = outside(folder / "m.onnx", location, **told)
    with pytest.raises(InputError, match=match) as caught:
        summarize(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_a_tensor_that_says_another_shape_is_named(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * 8)
    path = outside(tmp_path / "m.onnx", "w.bin")
    (weight,) = read_onnx(path).graph.initializer
    with pytest.raises(InputError, match="the tensor 'w' is not whole"):
        tensor_array(path, weight)


def test_recursion_stays_within_pythons_limit() -> None:
    from tinyml.modelfile.limits import DEEPEST

    assert sys.getrecursionlimit() > 4 * DEEPEST
