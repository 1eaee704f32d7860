from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.files import sha256
from tinyml.core.tolerance import POLICIES
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.ort import ONNXRUNTIME

RUNNER = Path(__file__).parents[2] / "tinyml" / "runtimes" / "runner.py"
ALLOWED = {"numpy", "ai_edge_litert", "tflite_runtime", "onnxruntime"}


def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code and the one line that the runner prints."""
    command = [sys.executable, str(RUNNER), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout + done.stderr
    return done.returncode, json.loads(lines[0])


def save(folder: Path, arrays: dict[str, Any]) -> Path:
    np.savez(folder / "in.npz", **arrays)
    return folder / "in.npz"


def test_is_written_in_the_language_of_python_3_9() -> None:
    tree = ast.parse(RUNNER.read_text(), feature_version=(3, 9))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    keywords = {word.arg for call in calls for word in call.keywords}
    assert not {"strict", "slots", "kw_only"} & keywords
    assert isinstance(tree.body[1], ast.ImportFrom)
    assert tree.body[1].module == "__future__"
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
    tree = ast.parse(RUNNER.read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    assert names - set(sys.stdlib_module_names) == ALLOWED


def test_times_an_onnx_file_and_keeps_its_answers(
    onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out.npz"
    arguments = ("--runtime", "onnxruntime", "--inputs", save(tmp_path, onnx_inputs))
    code, line = run(onnx_file, *arguments, "--outputs", out, "--runs", 7, "--warmup", 2)
    assert code == 0
    assert line["model_sha256"] == sha256(onnx_file)
    assert len(line["samples_ns"]) == 7
    assert min(line["samples_ns"]) > 0
    assert line["load_ns"] > line["samples_ns"][-1]
    assert 10_000 < line["peak_rss_kb"] < 500_000
    assert line["machine"]["numpy"] == np.__version__
    want = ONNXRUNTIME.open(onnx_file).run(onnx_inputs)
    with np.load(out) as got:
        assert set(got.files) == set(want)
        assert all(np.array_equal(got[name], want[name]) for name in want)


def test_times_a_tflite_file_by_the_names_of_its_signature(
    tflite_file: Path, tflite_inputs: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out.npz"
    arguments = ("--runtime", "litert", "--inputs", save(tmp_path, tflite_inputs))
    code, line = run(tflite_file, *arguments, "--outputs", out, "--seconds", 0.05)
    assert code == 0
    assert line["version"] == LITERT.version()
    assert sum(line["samples_ns"]) < 0.2e9
    want = LITERT.open(tflite_file).run(tflite_inputs)
    with np.load(out) as got:
        assert all(POLICIES["bitwise"].accepts(got[name], want[name]) for name in want)


def test_an_output_becomes_the_input_of_the_next_call(onnx_file: Path, tmp_path: Path) -> None:
    sys.path.insert(0, str(RUNNER.parent))
    try:
        import runner
    finally:
        sys.path.pop(0)

    class Doubling:
        def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
            return {"next": feeds["count"] * 2}

    feeds = {"count": np.array([1])}
    seen = []
    model = Doubling()
    options = runner.parse(["m", "--runtime", "litert", "--inputs", "i", "--runs", "4"])
    options.warmup = 1
    original = model.run
    model.run = lambda feeds: seen.append(int(feeds["count"][0])) or original(feeds)  # type: ignore[method-assign, func-returns-value]
    _, first, samples = runner.measure(model, feeds, {"count": "next"}, options)
    assert seen == [1, 2, 4, 8, 16, 32]
    assert first["next"] == 2
    assert len(samples) == 4
    assert feeds["count"] == 1


def test_runs_a_model_with_its_state_carried(
    onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    arguments = ("--runtime", "onnxruntime", "--inputs", save(tmp_path, onnx_inputs))
    code, line = run(onnx_file, *arguments, "--state", "h=h_out", "--state", "count=next")
    assert code == 0
    assert len(line["samples_ns"]) == 100
    code, line = run(onnx_file, *arguments, "--state", "h=gone")
    assert code != 0
    assert "gone" in line["error"]


def test_says_in_one_line_what_is_wrong(
    onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
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
        code, line = run(model, "--runtime", runtime, "--inputs", given)
        assert code == 1
        assert list(line) == ["error"]
        assert word in line["error"]


def test_litert_falls_back_to_its_predecessor(
    tflite_file: Path, tflite_inputs: dict[str, Any], tmp_path: Path
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
runpy.run_path({str(RUNNER)!r}, run_name="__main__")
""")
    inputs = save(tmp_path, tflite_inputs)
    command = [sys.executable, start, tflite_file, "--runtime", "litert", "--inputs", inputs]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    line = json.loads(done.stdout)
    assert line["version"] == "tflite-runtime 2.14.0"
    assert line["samples_ns"]


def test_hashing_a_file_neither_holds_it_nor_misses_a_name(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as stream:
        stream.write(b"x" * ((1 << 16) - 3) + b"QuantizeLinear")  # across two pieces
        stream.truncate(200 << 20)
    code = (
        f"import runner; before = runner.peak_rss_kb(); found = runner.read_file({str(path)!r})\n"
        "import json; print(json.dumps([*found, runner.peak_rss_kb() - before]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=RUNNER.parent
    )
    digest, rounds, grown_kb = json.loads(done.stdout)
    assert digest == sha256(path)
    assert rounds
    assert grown_kb < 20_000


def test_the_clock_of_loading_starts_after_the_file_was_searched() -> None:
    """Both runtimes are timed from the same place: what opens the model reads no file itself."""
    tree = ast.parse(RUNNER.read_text())
    openers = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name != "RunnerError"
    ]
    assert {node.name for node in openers} == {"LiteRtModel", "OrtModel"}
    called = {ast.unparse(n.func) for o in openers for n in ast.walk(o) if isinstance(n, ast.Call)}
    assert not {"open", "read_file", "read_text"} & called


def test_does_not_count_the_memory_of_a_large_parent(
    onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    ballast = np.ones(80_000_000)
    arguments = ("--runtime", "onnxruntime", "--inputs", save(tmp_path, onnx_inputs))
    _, line = run(onnx_file, *arguments, "--runs", 1)
    assert line["peak_rss_kb"] * 1024 < ballast.nbytes / 2
