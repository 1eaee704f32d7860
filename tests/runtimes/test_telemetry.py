"""onnxruntime sends telemetry unless it is told not to before it is imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
from sources import calls, imports, sources

PACKAGE = Path(__file__).parents[2] / "tinyml"
ALLOWED = {
    "board_scripts/listen.py",
    "board_scripts/repro.py",
    "runtimes/ort.py",
    "runtimes/runner/engines.py",
    "export/formats/onnx/quantize.py",
}

WATCH = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print("IMPORTED WITH", os.environ.get("ORT_DISABLE_TELEMETRY"), file=sys.stderr)
        return None

os.environ.pop("ORT_DISABLE_TELEMETRY", None)
sys.meta_path.insert(0, Watch())
"""


def imported_with(script: str) -> list[str]:
    """What the variable was each time onnxruntime was looked up in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH + script], capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    return [line.split()[-1] for line in lines if line.startswith("IMPORTED WITH")]


def test_the_watch_sees_an_import_with_telemetry_on() -> None:
    assert imported_with("import onnxruntime") == ["None"]


def test_is_off_when_the_runtime_opens_a_model(onnx_file: Path) -> None:
    script = f"""
from pathlib import Path
from tinyml.runtimes.ort import ONNXRUNTIME
del os.environ["ORT_DISABLE_TELEMETRY"]
ONNXRUNTIME.open(Path({str(onnx_file)!r}))
"""
    assert imported_with(script) == ["1"]


def test_is_off_when_the_quantizer_opens_a_model(onnx_file: Path) -> None:
    script = f"""
import onnx
from tinyml.export.quantization.plan import QuantPlan
from tinyml.export.formats.onnx.quantize import quantize
quantize(onnx.load({str(onnx_file)!r}), QuantPlan("w8-dynamic", "onnx", "each call", 0, "none"))
"""
    assert imported_with(script) == ["1"]


def test_is_off_in_the_runner(onnx_file: Path, onnx_inputs: dict[str, object]) -> None:
    inputs = onnx_file.with_name("in.npz")
    np.savez(inputs, **onnx_inputs)  # type: ignore[arg-type]
    arguments = [str(onnx_file), "--runtime", "onnxruntime", "--inputs", str(inputs)]
    script = f"""
from tinyml.runtimes.runner.main import main
assert main({arguments!r}) == 0
"""
    assert imported_with(script) == ["1"]


def test_is_off_in_the_process_that_writes_onnx() -> None:
    script = """
import tinyml.export.formats.onnx.write
import onnxruntime
"""
    assert imported_with(script) == ["1"]


def test_is_imported_by_the_runtime_the_runner_the_quantizer_and_the_board_script_only() -> None:
    found = set()
    for path, tree in sources().items():
        named = [call for call in calls(tree) if "import_module" in ast.unparse(call.func)]
        names = {name.partition(".")[0] for name in imports(tree)}
        names |= {ast.unparse(own).strip("'\"") for call in named for own in call.args}
        if "onnxruntime" in names:
            found.add(str(path))
    assert found <= ALLOWED
