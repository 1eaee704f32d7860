"""``--report`` of export, bench and compare: refused early, written after the rest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Done

Cli = Callable[..., Done]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bench", "a", "--report", "a/r.html"), "lies in the bundle a"),
        (("compare", "a", "a", "--report", "a/r.html"), "lies in the bundle a"),
        (("bench", "a/net.onnx", "--report", "r.html"), "a/net.onnx is a file"),
        (("export", "run", "--target", "rpi", "--out", "b", "--report", "b/r.html"), "bundle b"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, cli: Cli, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "net.onnx").touch()
    done = cli(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["a"]


@pytest.mark.slow
def test_export_writes_it(small_run: Path, tmp_path: Path, cli: Cli) -> None:
    out, path = tmp_path / "b", tmp_path / "r.html"
    words = ("--target", "rpi", "--formats", "tflite", "--out", out, "--report", path)
    done = cli("export", small_run, *words)
    assert done.returncode == 0, done.stderr
    assert f"report: {path}" in done.stderr
    assert "Parity with PyTorch" in path.read_text("utf-8")
