"""Outputs for a file with fused names fit 80 columns; ``--json`` has the names whole."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_files import array, tflite

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
FUSED = (
    "functional_1/activation_{0}/Relu;functional_1/batch_normalization_{0}/FusedBatchNormV3;"
    "functional_1/dense_{0}/BiasAdd/ReadVariableOp/resource;functional_1/dense_{0}/BiasAdd;"
    "functional_1/dense_9/MatMul;functional_1/dense_{0}/MatMul1"
)


@pytest.fixture
def fused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten layers, of which a lint rule finds two; the current folder is the file's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    names = ["x", *(FUSED.format(number) for number in range(9)), "Identity"]
    tensors = dict.fromkeys(names, ((1, 640), "float32"))
    weights = {f"w{number}": array(640, 640) for number in range(10)}
    operators = [
        ("FULLY_CONNECTED", [names[place], f"w{place}"], [names[place + 1]]) for place in range(10)
    ]
    tflite(tmp_path / "ad01.tflite", {**tensors, **weights}, operators, ("x", "Identity"))
    return Path("ad01.tflite")


@pytest.mark.parametrize(
    "command", [("inspect",), ("inspect", "--sparse", "--target", "rpi4"), ("compare",)]
)
def test_every_line_fits_80_columns(command: tuple[str, ...], fused: Path, cli: Cli) -> None:
    files = (fused, fused) if command == ("compare",) else (fused,)
    done = cli(*command, *files)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


def test_layers_are_told_apart_and_whole_in_json(fused: Path, cli: Cli) -> None:
    told = json.loads(cli("inspect", "--json", fused).stdout)
    assert told["layers"][0]["name"] == FUSED.format(0)
    shown = cli("inspect", fused).stdout
    for number in range(9):
        assert shown.count(f"activation_{number}/Relu…") == 1


@pytest.mark.parametrize("verb", ["models", "targets", "doctor"])
def test_lists_fit_80_columns(verb: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("tinyml.pipeline.doctor.import_errors", lambda packages: {})
    shown = cli(verb).stdout
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    assert "…" not in shown


def test_a_terminal_without_the_ellipsis_gets_an_escape(fused: Path, cli_process: Cli) -> None:
    done = cli_process("inspect", fused.absolute(), env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "\\u2026" in done.stdout
