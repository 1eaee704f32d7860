"""No module of the current folder, or of a bundle's, takes the place of the one that we import."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import parser

from tinyml import board_scripts
from tinyml.core.errors import InputError
from tinyml.core.process import child_environment, python_module, tied
from tinyml.core.subprocesses import run_child
from tinyml.runtimes.file_session import ChildRuntime
from tinyml.runtimes.litert import LITERT

NAMES = ("numpy.py", "torch.py", "json.py", "onnx.py", "ctypes.py", "tinyml/__init__.py")
STARTS = ("subprocess.run", "subprocess.Popen", "os.system", "os.popen")
USER = "import numpy\nfrom helper import four\ndef value():\n    return numpy.add(four, 1)\n"
CHILD = """
import os, subprocess, sys
import json, numpy
from tinyml.pipeline.model_sources.user_code import load_code
subprocess.run([sys.executable, "-m", "json.tool", "--help"], check=True)
for name in sys.argv[1:]:
    print("made", load_code(name)())
import torch.version
print("torch", torch.version.__file__)
"""


@pytest.fixture
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, on the path first as with ``python -m``: what it holds leaves a mark."""
    folder = tmp_path / "current"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(
            f"with open({str(folder / 'mark')!r}, 'a') as mark: mark.write({name!r})\n"
        )
    (folder / "net.py").write_text(USER)
    (folder / "helper.py").write_text("four = 4\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *filter(None, sys.path)])
    return folder


def marks(folder: Path) -> str:
    mark = folder / "mark"
    return mark.read_text() if mark.exists() else ""


def test_a_child_of_an_export_imports_ours_and_the_users_own_module_its_neighbours(
    current: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "child_module.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    log = tmp_path / "log"
    run_child("child_module", ["net.py:value", "net:value"], log=log, timeout_s=120)
    assert log.read_text().count("made 5") == 2
    assert "torch/version.py" in log.read_text()
    assert marks(current) == ""


def test_a_child_that_opens_a_file_imports_ours(current: Path, tmp_path: Path) -> None:
    runtime = ChildRuntime(LITERT, "tinyml.runtimes.litert:LITERT")
    with pytest.raises(InputError, match="no model file"):
        runtime.open(tmp_path / "none.tflite")
    assert marks(current) == ""


def test_a_program_is_tied_without_importing_what_lies_about(current: Path) -> None:
    done = subprocess.run(tied(["echo", "started"]), capture_output=True, text=True, check=True)
    assert done.stdout == "started\n"
    assert marks(current) == ""


def test_a_child_finds_tinyml_where_this_process_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout that is on the path of this process, and installed nowhere."""
    checkout = tmp_path / "checkout"
    (checkout / "onlyhere").mkdir(parents=True)
    (checkout / "onlyhere" / "__init__.py").write_text("print('found')\n")
    monkeypatch.syspath_prepend(str(checkout))
    monkeypatch.chdir(tmp_path)
    command = [*python_module("onlyhere.__init__", [])]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=child_environment({})
    )
    assert done.stdout.startswith("found")


def test_run_py_imports_nothing_from_its_bundle(current: Path) -> None:
    shutil.copy(board_scripts.RUN, current)
    link = current.parent / "link.py"
    link.symlink_to(current / "run.py")
    for path in (current / "run.py", link):
        done = _run(path, "a", "b", "c")
        assert marks(current) == ""
        assert "manifest.json" in done.stderr


def test_repro_py_imports_nothing_from_its_folder(current: Path) -> None:
    shutil.copy(board_scripts.REPRO, current)
    assert "repro.json" in _run(current / "repro.py").stderr
    assert marks(current) == ""


def test_every_process_is_started_safely_and_tied_to_this_one() -> None:
    """`tied` kills a program with its parent; what `python_module` starts asks for it itself.

    The runner and the agent, which a board has without the package, give what they start a time
    limit; a recorder ends when its sound is not read.
    """
    root, starts = Path(__file__).parents[1], 0
    asks = {"core/subprocesses.py", "core/worker.py"}
    for folder in ("tinyml", "tools", "benchmarks"):
        for path in sorted((root / folder).rglob("*.py")):
            own = str(path.relative_to(root / "tinyml")) if folder == "tinyml" else ""
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call) and ast.unparse(call.func) in STARTS:
                    starts += 1
                    if own == "board_scripts/listen_sound.py":
                        continue
                    if own.startswith(("runtimes/runner/", "board_scripts/agent/")):
                        assert "timeout" in {word.arg for word in call.keywords}, own
                        continue
                    safe = ("tied(", "python_module(") if own in asks else ("tied(",)
                    assert ast.unparse(call.args[0]).startswith(safe), f"{path}:{call.lineno}"
    assert starts >= 10
    for name in asks:
        text = (root / "tinyml" / name).read_text(encoding="utf-8")
        assert (
            "die_with(" in text or "begin(parent" in text
        )  # of subprocesses.py, which asks for it


def _run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a user does: without ``-P``, and with nothing but the environment's own path."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean)


def test_a_verb_and_its_children_import_ours(current: Path) -> None:
    path = current / "m.onnx"
    text = '<ir_version: 8, opset_import: ["": 18]> g (float[4] x) => (float[4] y) {y = Relu(x)}'
    path.write_bytes(parser.parse_model(text).SerializeToString())
    command = python_module("tinyml.cli.main", ["inspect", str(path)])
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=child_environment({})
    )
    assert "Relu" in done.stdout
    assert marks(current) == ""
