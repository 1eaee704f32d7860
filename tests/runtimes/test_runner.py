from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sources import imports

from tinyml.core.files import sha256
from tinyml.core.machine_state import MachineState
from tinyml.core.tolerance import POLICIES
from tinyml.core.typed_json import from_json
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.ort import ONNXRUNTIME
from tinyml.runtimes.runner import machine
from tinyml.runtimes.runner.engines import import_runtime
from tinyml.runtimes.runner.errors import RunnerError
from tinyml.runtimes.runner.loading import pin
from tinyml.runtimes.runner.messages import receive, send
from tinyml.runtimes.runner_archive import FOLDER, write_archive

Run = Callable[..., tuple[int, dict[str, Any]]]

ALLOWED = {"numpy", "ai_edge_litert", "tflite_runtime", "onnxruntime", "openvino", "tinyml"}
MODULES = sorted(FOLDER.glob("*.py"))
SHORT = ("--warmup", 1, "--min-time", 0)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one file that is pushed."""
    path = tmp_path_factory.mktemp("runner") / "runner.zip"
    write_archive(path)
    return path


@pytest.fixture
def run(archive: Path) -> Run:
    return lambda *arguments: started(archive, *arguments)


def started(archive: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code and the one line that the runner prints; nothing of ours is installed there."""
    command = [sys.executable, "-I", str(archive), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout + done.stderr
    return done.returncode, json.loads(lines[0])


def save(folder: Path, arrays: dict[str, Any]) -> Path:
    np.savez(folder / "in.npz", **arrays)
    return folder / "in.npz"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_is_written_in_the_language_of_python_3_9(module: Path) -> None:
    tree = ast.parse(module.read_text(), feature_version=(3, 9))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    keywords = {word.arg for call in calls for word in call.keywords}
    assert not {"strict", "slots", "kw_only"} & keywords
    if imports := [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]:
        assert ast.unparse(imports[0]) == "from __future__ import annotations"
    annotations = {id(sub) for node in ast.walk(tree) for sub in _annotation_nodes(node)}
    unions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
    ]
    assert all(id(union) in annotations for union in unions)


def _annotation_nodes(node: ast.AST) -> list[ast.AST]:
    parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    return [sub for part in parts if isinstance(part, ast.AST) for sub in ast.walk(part)]


def test_imports_numpy_and_the_runtimes_only() -> None:
    names = {name for module in MODULES for name in imports(ast.parse(module.read_text()))}
    own = {name for name in names if name.startswith("tinyml")}
    assert all(name.startswith("tinyml.runtimes.runner.") for name in own)
    found = {name.partition(".")[0] for name in names}
    assert found - set(sys.stdlib_module_names) == ALLOWED


def test_times_an_onnx_file_and_keeps_its_answers(
    run: Run, onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out.npz"
    arguments = ("--runtime", "onnxruntime", "--inputs", save(tmp_path, onnx_inputs))
    code, line = run(onnx_file, *arguments, "--outputs", out, "--runs", 7, *SHORT)
    assert code == 0
    assert line["model_sha256"] == sha256(onnx_file)
    assert (len(line["samples_ns"]), line["calls"], line["warmups"]) == (7, 7, 1)
    assert min(*line["samples_ns"], *line["cpu_ns"]) > 0
    assert len(line["cpu_ns"]) == 7
    assert sum(line["samples_ns"]) <= line["elapsed_ns"]
    before, after = (from_json(MachineState, line[name]) for name in ("before", "after"))
    assert before.run_queue_ns is not None
    assert after.run_queue_ns is not None
    assert before.run_queue_ns <= after.run_queue_ns
    assert line["load_ns"] > line["samples_ns"][-1]
    assert 10_000 < line["peak_rss_kb"] < 500_000
    assert line["machine"]["numpy"] == np.__version__
    want = ONNXRUNTIME.open(onnx_file).run(onnx_inputs)
    with np.load(out) as got:
        assert set(got.files) == set(want)
        assert all(np.array_equal(got[name], want[name]) for name in want)


def test_times_a_tflite_file_by_the_names_of_its_signature(
    run: Run, tflite_file: Path, tflite_inputs: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out.npz"
    arguments = ("--runtime", "litert", "--inputs", save(tmp_path, tflite_inputs))
    code, line = run(tflite_file, *arguments, "--outputs", out, *SHORT)
    assert code == 0
    assert (line["version"], line["delegate"]) == (LITERT.version(), None)
    want = LITERT.open(tflite_file).run(tflite_inputs)
    with np.load(out) as got:
        assert all(POLICIES["bitwise"].accepts(got[name], want[name]) for name in want)


def test_the_delegate_of_litert_can_be_switched_off(
    tflite_file: Path, tflite_inputs: dict[str, Any]
) -> None:
    opener, module, _ = import_runtime("litert")
    usual, without = (opener(module, str(tflite_file), 1, False, own) for own in (None, "none"))
    assert (usual.delegate, without.delegate) == (None, "none")
    want, got = usual.run(tflite_inputs), without.run(tflite_inputs)
    assert all(POLICIES["engine"].accepts(got[name], want[name]) for name in want)
    assert not all(np.array_equal(got[name], want[name]) for name in want)


def test_a_process_is_kept_on_the_core_that_is_asked_for(
    run: Run, onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    core = machine.allowed()[-1]
    arguments = ("--runtime", "onnxruntime", "--inputs", save(tmp_path, onnx_inputs))
    _, line = run(onnx_file, *arguments, "--runs", 1, *SHORT, "--cpu", core)
    assert line["machine"]["cores"] == 1
    with pytest.raises(RunnerError, match="--cpu 4096: the cores that may be used here are"):
        pin(4096)


def test_runs_a_model_with_its_state_carried(
    run: Run, onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    arguments = ("--runtime", "onnxruntime", "--inputs", save(tmp_path, onnx_inputs))
    code, line = run(onnx_file, *arguments, *SHORT, "--state", "h=h_out", "--state", "count=next")
    assert code == 0
    assert len(line["samples_ns"]) == 100
    code, line = run(onnx_file, *arguments, "--state", "h=gone")
    assert code != 0
    assert "gone" in line["error"]


def test_serves_until_its_requests_end(
    archive: Path, onnx_file: Path, onnx_inputs: dict[str, Any]
) -> None:
    requests = io.BytesIO()
    for inputs in (onnx_inputs, {}, onnx_inputs):
        send(requests, {}, inputs)
    done = served(archive, onnx_file, requests.getvalue(), limit_s=60)
    answers = io.BytesIO(done.stdout)
    loaded, _ = receive(answers)
    assert loaded["model_sha256"] == sha256(onnx_file)
    assert loaded["version"] == ONNXRUNTIME.version()
    (_, first), (refused, _), (_, third) = (receive(answers) for _ in range(3))
    assert "the model takes" in refused["error"]
    want = ONNXRUNTIME.open(onnx_file).run(onnx_inputs)
    for found in (first, third):
        assert all(np.array_equal(found[name], own) for name, own in want.items())
    assert (done.returncode, answers.read()) == (0, b"")


def test_a_server_says_what_it_cannot_load(archive: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    done = served(archive, bad, b"", limit_s=60)
    assert done.returncode == 1
    assert "refuses" in receive(io.BytesIO(done.stdout))[0]["error"]


def test_a_server_that_nothing_comes_to_ends_by_itself(archive: Path, onnx_file: Path) -> None:
    command = served_command(archive, onnx_file, limit_s=1)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.wait(60) == 1
        assert process.stderr is not None
        assert b"Timeout" in process.stderr.read()


def served_command(archive: Path, model: Path, limit_s: float) -> list[str]:
    options = ["--runtime", "onnxruntime", "--serve", f"{limit_s}"]
    return [sys.executable, "-I", str(archive), str(model), *options]


def served(
    archive: Path, model: Path, requests: bytes, limit_s: float
) -> subprocess.CompletedProcess[bytes]:
    command = served_command(archive, model, limit_s)
    return subprocess.run(command, input=requests, capture_output=True)


def test_says_in_one_line_what_is_wrong(
    run: Run, onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    inputs = save(tmp_path, onnx_inputs)
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    other = tmp_path / "other.npz"
    np.savez(other, x=onnx_inputs["x"])
    for model, runtime, given, word in (
        (bad, "onnxruntime", inputs, "refuses"),
        (bad, "litert", inputs, "refuses"),
        (tmp_path / "none.onnx", "onnxruntime", inputs, "No such file"),
        (onnx_file, "onnxruntime", bad, "not an .npz"),
        (onnx_file, "onnxruntime", other, "the model takes"),
        (onnx_file, "tflite_runtime", inputs, "cannot be imported"),
    ):
        code, line = run(model, "--runtime", runtime, "--inputs", given, *SHORT)
        assert code == 1
        missing = ["missing"] if runtime == "tflite_runtime" else []
        assert list(line) == ["error", *missing]
        assert word in line["error"]


def test_litert_falls_back_to_its_predecessor(
    archive: Path, tflite_file: Path, tflite_inputs: dict[str, Any], tmp_path: Path
) -> None:
    package = tmp_path / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").write_text('__version__ = "2.14.0"\n')
    (package / "interpreter.py").write_text("from ai_edge_litert.interpreter import Interpreter\n")
    start = tmp_path / "start.py"
    start.write_text(f"""
import importlib.util, runpy, sys
find = importlib.util.find_spec
hidden = lambda name, *rest: None if name == "ai_edge_litert" else find(name, *rest)
importlib.util.find_spec = hidden
sys.path.insert(0, {str(tmp_path)!r})
runpy.run_path({str(archive)!r}, run_name="__main__")
""")
    inputs = save(tmp_path, tflite_inputs)
    command = [
        sys.executable,
        start,
        tflite_file,
        "--runtime",
        "litert",
        "--inputs",
        inputs,
        *SHORT,
    ]
    done = subprocess.run(
        list(map(str, [*command, *SHORT])), capture_output=True, text=True, check=True
    )
    line = json.loads(done.stdout)
    assert line["version"] == "tflite-runtime 2.14.0"
    assert line["samples_ns"]


def test_hashing_a_file_neither_holds_it_nor_misses_a_name(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as stream:
        stream.write(b"x" * ((1 << 16) - 3) + b"QuantizeLinear")  # across two pieces
        stream.truncate(200 << 20)
    code = (
        "import json; from tinyml.runtimes.runner.loading import read_file\n"
        "from tinyml.runtimes.runner.machine import peak_rss_kb\n"
        f"before = peak_rss_kb(); found = read_file({str(path)!r})\n"
        "print(json.dumps([*found, peak_rss_kb() - before]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    digest, rounds, grown_kb = json.loads(done.stdout)
    assert digest == sha256(path)
    assert rounds
    assert grown_kb < 20_000


def test_the_clock_of_loading_starts_after_the_file_was_searched() -> None:
    """Both runtimes are timed from the same place: what opens the model reads no file itself."""
    tree = ast.parse((FOLDER / "engines.py").read_text())
    openers = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert {node.name for node in openers} == {"LiteRtModel", "OrtModel"}
    called = {ast.unparse(n.func) for o in openers for n in ast.walk(o) if isinstance(n, ast.Call)}
    assert not {"open", "read_file", "read_text"} & called


def test_does_not_count_the_memory_of_a_large_parent(
    run: Run, onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    ballast = np.ones(80_000_000)
    arguments = ("--runtime", "onnxruntime", "--inputs", save(tmp_path, onnx_inputs))
    _, line = run(onnx_file, *arguments, "--runs", 1, *SHORT)
    assert line["peak_rss_kb"] * 1024 < ballast.nbytes / 2
