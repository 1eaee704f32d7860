"""The plugin in a pytest of its own, as a user's tests meet it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = '''
import numpy as np
import onnx.parser
import pytest

TEXT = """<ir_version: 8, opset_import: ["" : 18]>
g (float[1, 4] x) => (float[1, 4] y, float[1, 4] z) { y = Relu(x) z = Exp(x) }"""
GIVEN = {"x": np.array([[-1, 0, 1, 2]], np.float32)}


def right(x):
    return {"y": np.maximum(x, 0), "z": np.exp(x)}


def wrong(x):
    return right(x) | {"y": np.abs(x)}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx.parser.parse_model(TEXT).SerializeToString())
    return path


def test_right(assert_parity, file):
    assert {row.stage for row in assert_parity(file, right, GIVEN)} == {"y", "z"}


def test_wrong(assert_parity, file):
    assert_parity(file, wrong, GIVEN)


def test_another_failure():
    assert GIVEN == 3
'''


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints of a passing, a failing and an unrelated test."""
    folder = tmp_path_factory.mktemp("users")
    (folder / "test_net.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tinyml.pytest_plugin"]
    command += ["-p", "no:cacheprovider", "-p", "no:anyio", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_the_fixture_asserts_and_the_failure_says_what_is_farthest_off(report: str) -> None:
    assert "2 failed, 1 passed" in report
    assert "differs from the reference at stage 'y' on 'inputs' (1 of 2 rows fail" in report
    assert "farthest off at [0, 0]: 0, wanted 1" in report


def test_a_failure_of_parity_shows_every_stage_and_no_other_failure_does(report: str) -> None:
    before, _, after = report.partition("parity by stage")
    assert "parity by stage" not in after
    assert "test_wrong" in before
    lines = [line.split() for line in after.splitlines()]
    assert ["y", "fail"] in [line[:2] for line in lines]
    assert ["z", "pass"] in [line[:2] for line in lines]


def test_the_traceback_ends_in_the_users_test(report: str) -> None:
    assert "tinyml/pipeline/assert_parity.py" not in report
    assert "assert_parity(file, wrong, GIVEN)" in report


def test_the_entry_point_names_a_module_that_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ((name, module),) = project["entry-points"]["pytest11"].items()
    assert name == module
    assert import_module(module).assert_parity
