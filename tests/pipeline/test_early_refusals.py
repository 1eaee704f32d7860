"""What cannot be exported is refused before torch is imported and before the user's code runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """\
import contextlib, io, json, sys
from tinyml.cli.main import app
found = []
for arguments in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            app(["export", "--target", "rpi", *arguments])
        except SystemExit as ended:
            found.append([ended.code, said.getvalue()])
heavy = {"torch", "onnx", "onnxruntime", "ai_edge_litert", "litert_torch", "user_code"}
print(json.dumps([found, sorted(heavy & set(sys.modules))]))
"""
TARGET = """\
board = "Gateway"
arch = "aarch64"
cpu = "cortex-a53"
memory_mb = 256
[systems.own]
runtimes = { litert = "2.1.0" }
"""
CHECKPOINT = Path(__file__).parents[2] / "examples" / "checkpoints" / "sparse-dense.safetensors"


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """What is refused -> exit code and what is told; all in one process."""
    folder = tmp_path_factory.mktemp("refusals")
    (folder / "user_code.py").write_text("def build(): raise AssertionError", encoding="utf-8")
    (folder / "weights.safetensors").write_bytes(b"")
    (folder / "there").mkdir()
    (folder / "small.toml").write_text(TARGET, encoding="utf-8")
    (folder / "odd.toml").write_text(f"{TARGET}pyhton = '3.9'", encoding="utf-8")
    np.savez(folder / "sample.npz", x=np.zeros((1, 4), np.float32))
    for name, arrays in {
        "name": {"y": np.zeros((3, 1, 4), np.float32)},
        "shape": {"x": np.zeros((3, 1, 5), np.float32)},
        "type": {"x": np.zeros((3, 1, 4), np.float64)},
    }.items():
        np.savez(folder / f"{name}.npz", **arrays)
    out = ["--out", str(folder / "bundle")]
    own = [f"{folder / 'user_code.py'}:build", "--sample", str(folder / "sample.npz"), *out]
    named = ["mobilenet-v1", "--weights", str(folder / "weights.safetensors"), *out]
    saved = [str(CHECKPOINT), *out]
    static = ["--precision", "w8a8-static"]
    small = ["--target", str(folder / "small.toml")]
    asked = {
        "precision": [*own, "--precision", "int8"],
        "precision of a named model": [*named, "--precision", "int8"],
        "precision of a checkpoint": [*saved, "--precision", "int8"],
        "option of another precision": [*own, "--explain"],
        "option of another precision, named": [*named, "--precision", "fp16", "--ranges", "mse"],
        "option of another precision, saved": [*saved, "--equalize"],
        "untrained in eight bits": [*named, "--precision", "qat-w8a8"],
        "folder": [*named, "--out", str(folder / "there")],
        "folder of a failure report": [*own, "--keep-failed", str(folder / "there")],
        "front end": [*own, *static, "--front-end", "int8"],
        "state": [*own, "--state", "a=b"],
        "stream": [*own, "--streaming"],
        "state in eight bits": [*own, *static, "--state", "x=y", "--io", "int8"],
        "no calibration data": [*named, *static],
        "format without a runtime": [*own, *small, "--formats", "onnx,tflite"],
        "key of a target": [*own, "--target", str(folder / "odd.toml")],
        "no weights": ["mobilenet-v1", "--weights", str(folder / "none"), *out],
    } | {
        f"{name} of calibration": [*own, *static, "--calibration", str(folder / f"{name}.npz")]
        for name in ("name", "shape", "type")
    }
    command = [sys.executable, "-P", "-c", SCRIPT, json.dumps([*asked.values()])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, heavy = json.loads(done.stdout)
    assert heavy == []
    return {name: tuple(own) for name, own in zip(asked, found, strict=True)}


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("precision", 2, "int8"),
        ("precision of a named model", 2, "int8"),
        ("precision of a checkpoint", 2, "int8"),
        ("option of another precision", 2, "--explain is for quantized precisions"),
        ("option of another precision, named", 2, "--ranges is for quantized precisions"),
        ("option of another precision, saved", 2, "--equalize is for quantized precisions"),
        ("untrained in eight bits", 2, "qat-w8a8 needs weights"),
        ("folder", 2, "there exists"),
        ("folder of a failure report", 2, "there exists"),
        ("front end", 2, "--front-end int8: build has no front end"),
        ("state", 3, "no input is called 'a'; there are ['x']"),
        ("stream", 3, "--streaming: tinyml cannot split your own model build into a front end"),
        ("state in eight bits", 2, "the state of build would be rounded at each call"),
        ("no calibration data", 2, "these weights come without a data set"),
        (
            "format without a runtime",
            2,
            "no runtime on small reads onnx: it has litert\n"
            "hint: choose --formats tflite, or another --target",
        ),
        ("key of a target", 3, "odd.toml: no key is called 'pyhton'"),
        ("no weights", 2, "no weights at"),
        ("name of calibration", 3, "the calibration data has no 'x'"),
        ("shape of calibration", 3, "float32[3, 1, 5], the model takes float32[1, 4]"),
        ("type of calibration", 3, "float64[3, 1, 4], the model takes float32[1, 4]"),
    ],
)
def test_it_is_refused_before_anything_heavy_is_imported(
    refusals: dict[str, tuple[int, str]], what: str, code: int, said: str
) -> None:
    assert refusals[what][0] == code
    assert said in refusals[what][1]
