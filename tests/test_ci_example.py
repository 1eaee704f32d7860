"""The steps of the GitHub Actions job in docs/benchmark.md do what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
from onnx import parser

PAGE = (Path(__file__).parents[1] / "docs" / "benchmark.md").read_text(encoding="utf-8")
(JOB,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
# A step of one line, or of the deeper lines under it.
STEPS = [
    textwrap.dedent(block) if block else line
    for line, block in re.findall(r"^ +run: (?:([^|\n]+)|\|\n((?: {10}.*\n)+))", JOB, re.M)
]
LAYER = "{y} = MatMul({x}, w)"


def chain(path: Path, length: int) -> None:
    """``length`` products of matrices, one after the other."""
    names = ["x", *(f"t{place}" for place in range(length - 1)), "y"]
    layers = [LAYER.format(x=x, y=y) for x, y in pairwise(names)]
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
g (float[128, 128] x, float[128, 128] w) => (float[128, 128] y) {{ {" ".join(layers)} }}"""
    path.write_bytes(parser.parse_model(text).SerializeToString())


def test_the_job_has_three_steps_that_run_something() -> None:
    assert [step.split()[0] for step in STEPS] == ["pip", "git", "tinyml"]


@pytest.mark.slow
@pytest.mark.parametrize(("length", "slower"), [(20, False), (40, True)])
def test_the_steps_run_and_find_a_slower_model(tmp_path: Path, length: int, slower: bool) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    chain(tmp_path / "model.onnx", 20)
    git("init")
    git("add", "model.onnx")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-m", "base")
    chain(tmp_path / "model.onnx", length)
    _, compare, bench = STEPS
    done = step(compare, tmp_path)
    busy = "::warning::no verdict on latency" in done.stdout
    assert done.returncode == (5 if slower and not busy else 0), done.stderr
    assert busy == ("no verdict on a regression" in done.stderr)
    assert step(bench, tmp_path).returncode == 0
    assert (tmp_path / "model.bench.json").is_file()


def step(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """As GitHub's runner starts it."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-e", "-c", text],
        cwd=folder,
        env={**os.environ, "BASE": "HEAD", "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
