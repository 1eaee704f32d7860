"""``--report`` of export, bench and compare: refused early, written after the rest."""

from __future__ import annotations

import json
import os
import shutil
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
    tmp_path: Path, small_run: Path, cli: Cli, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "net.onnx").touch()
    (tmp_path / "run").symlink_to(small_run)
    done = cli(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["a", "run"]


def test_bench_and_compare_write_it_and_leave_stdout_alone(
    small_bundle: Path, tmp_path: Path, cli: Cli
) -> None:
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "mine"))
    quick = ("--quick", "--repeats", "1", "--json")
    done = cli("bench", bundle, *quick, "--report", tmp_path / "bench.html")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["measurements"]
    assert f"report: {tmp_path / 'bench.html'}" in done.stderr
    assert "Milliseconds of one call" in (tmp_path / "bench.html").read_text("utf-8")
    done = cli("compare", bundle, small_bundle, "--json", "--report", tmp_path / "c.html")
    assert json.loads(done.stdout)["files"]
    assert "Compared with 1 other bundle" in (tmp_path / "c.html").read_text("utf-8")


@pytest.mark.slow
def test_export_writes_it(small_run: Path, tmp_path: Path, cli: Cli) -> None:
    out, path = tmp_path / "b", tmp_path / "r.html"
    words = ("--target", "rpi", "--formats", "tflite", "--out", out, "--report", path)
    done = cli("export", small_run, *words)
    assert done.returncode == 0, done.stderr
    assert f"report: {path}" in done.stderr
    assert "Parity with PyTorch" in path.read_text("utf-8")
