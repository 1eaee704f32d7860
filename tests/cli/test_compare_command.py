"""``tinyml compare`` as a person meets it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tinyml.core.files import sha256, write_json
from tinyml.core.measurement import Conditions, Measurement, Process
from tinyml.core.typed_json import to_json
from tinyml.core.upgrade import SCHEMA
from tinyml.pipeline.bench import BenchFile

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
        (("b.onnx", "--max-regression", "5"), 2, "--max-regression 5 is not a percentage"),
        (("b.onnx", "--threads", "1,x"), 2, "--threads 1,x is not a list of numbers of threads"),
        (("b.onnx", "--between", "sleep"), 2, "--between sleep needs --period"),
        (("b.onnx", "--period", "1h"), 2, "--period 1h is not a time of at most 5 s"),
        (("b.onnx", "--period", "1s", "--between", "x"), 2, "--between x is not one of sleep"),
        (("b.onnx", "--delegate", "gpu"), 2, "--delegate gpu is not one of xnnpack, none"),
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


@pytest.mark.parametrize(
    ("us", "code", "said"),
    [
        (100, 0, ""),
        (120, 5, "error: regression: onnxruntime takes 1.2"),
        (None, 4, "error: no verdict on a regression: onnxruntime: B's b.onnx was not measured"),
    ],
)
def test_a_regression_is_5_and_no_verdict_4_after_the_tables(
    files: tuple[Path, Path], cli: Cli, us: int | None, code: int, said: str
) -> None:
    write_bench(files[0], 100)
    if us is not None:
        write_bench(files[1], us)
    assert cli("compare", *files).returncode == 0
    done = cli("compare", *files, "--max-regression", "5%")
    assert (done.returncode, said in done.stderr) == (code, True)
    assert "latency, p50 of the whole" in done.stdout


def test_bench_needs_a_baseline_for_a_regression(files: tuple[Path, Path], cli: Cli) -> None:
    done = cli("bench", files[0], "--max-regression", "5%")
    assert done.returncode == 2
    assert "--max-regression needs --against" in done.stderr


def test_bench_against_a_baseline(files: tuple[Path, Path], cli: Cli) -> None:
    """Times of this machine, whatever it does, against times under other conditions."""
    write_bench(files[0], 100)
    how = ("--repeats", 1, "--quick", "--out", files[0].with_name("new.json"))
    old = f"{files[0]}.bench.json"
    done = cli("bench", files[0], *how, "--against", old, "--max-regression", "5%")
    assert done.returncode == 4
    assert "error: no verdict on a regression: onnxruntime: they differ in" in done.stderr
    assert "baseline ms" in done.stdout
    assert cli("bench", files[0], *how, "--against", old).returncode == 0


def write_bench(file: Path, us: int) -> None:
    """What `tinyml bench` would have left next to ``file``."""
    runs = tuple(
        Process(tuple(1000 * us + 10 * turn + call for call in range(10)), 10, 1, 1, None)
        for turn in range(7)
    )
    found = Measurement(
        file.name, sha256(file), "whole", "onnxruntime", "1.32", runs, Conditions(), "host"
    )
    write_json(
        Path(f"{file}.bench.json"),
        {"schema": SCHEMA, **to_json(BenchFile("host", (found,), (), ()))},
    )
