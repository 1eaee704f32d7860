"""``tinyml compare`` as a person meets it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
TEXT = """<ir_version: 8, opset_import: ["" : 18]>
g (float[1, 4] x) => (float[1, 3] y)
<float[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}> { a = MatMul(x, w) y = Relu(a) }"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    from onnx import parser

    paths = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for path, op in zip(paths, ("Relu", "Exp"), strict=True):
        path.write_bytes(parser.parse_model(TEXT.replace("Relu", op)).SerializeToString())
    return paths


def test_what_differs_is_printed_and_the_exit_is_0(
    files: tuple[Path, Path], cli_process: Cli
) -> None:
    done = cli_process("compare", *files)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["A", f"{files[0]}", "(file)"] in lines
    assert ["Exp", "-", "1", "only", "in", "B"] in lines
    assert ["weight", "bytes", "48", "48", "1.00"] in lines
    assert "latency: not measured" in done.stdout


def test_json_has_the_same(files: tuple[Path, Path], cli: Cli) -> None:
    found = json.loads(cli("compare", *files, "--json").stdout)
    assert found["a"] == {"path": str(files[0]), "kind": "file", "files": ["a.onnx"]}
    (pair,) = found["files"]
    assert not pair["identical"]
    assert {"name": "Exp", "a": None, "b": 1} in pair["operators"]
    assert pair["layers"][0]["stored_a"] == "float32/float32"
    assert found["latency"][0]["verdict"] == "no verdict"
    assert {"signature", "processor", "parity", "agreements", "notes"} <= set(found)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere",), 3, "error: no such file or directory: nowhere"),
        ((), 2, "Missing argument"),
        (("b.onnx", "--bench", "--repeats", "4"), 2, "--repeats"),
    ],
)
def test_bad_input_is_3_and_bad_usage_2(
    files: tuple[Path, Path], cli: Cli, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = cli("compare", "a.onnx", *arguments, cwd=files[0].parent)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
