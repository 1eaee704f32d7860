"""OpenVINO, where it is installed: on other machines than x86 it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sources import imports, sources

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.tolerance import POLICIES
from tinyml.core.versions import version_of
from tinyml.runtimes import ov
from tinyml.runtimes.base import RefusedError, Runtime
from tinyml.runtimes.ort import ONNXRUNTIME
from tinyml.runtimes.ov import OPENVINO
from tinyml.runtimes.runner.openvino_model import computed

INSTALLED = version_of("openvino") is not None
needs_openvino = pytest.mark.skipif(not INSTALLED, reason="openvino is not installed")


def test_is_a_runtime_for_onnx() -> None:
    runtime: Runtime = OPENVINO
    assert runtime.formats == ("onnx",)
    assert not runtime.reads_inside


@needs_openvino
def test_gives_the_outputs_of_onnxruntime_by_name(
    onnx_file: Path, onnx_inputs: dict[str, Any]
) -> None:
    session, reference = OPENVINO.open(onnx_file), ONNXRUNTIME.open(onnx_file)
    assert session.signature == reference.signature
    got, want = session.run(onnx_inputs), reference.run(onnx_inputs)
    assert list(got) == ["p", "h_out", "next"]
    for name, value in want.items():
        assert got[name].dtype == value.dtype
        assert POLICIES["engine"].accepts(got[name], value), name
    assert session.precision == "float32"


def save(path: Path, graph: str) -> Path:
    import onnx

    text = f'<ir_version: 8, opset_import: ["" : 18, "own" : 1]> graph {graph}'
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    return path


@needs_openvino
def test_an_output_keeps_its_name_where_the_compiler_merges_several(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        "(float[1, 4] x, float[2] unused) => (float[1, 4] b, float[1, 4] a, bool[1, 4] n) "
        "{ z = Relu(x) a = Identity(z) b = Neg(z) n = IsNaN(x) }",
    )
    x = np.array([[-1, 0, 2, np.nan]], np.float32)
    got = OPENVINO.open(path).run({"x": x, "unused": np.zeros(2, np.float32)})
    assert list(got) == ["b", "a", "n"]
    assert np.array_equal(got["b"][0, :3], [0, 0, -2])
    assert np.array_equal(got["a"][0, :3], [0, 0, 2])
    assert got["n"].dtype == bool
    assert np.array_equal(got["n"], np.isnan(x))


@needs_openvino
def test_outputs_of_one_call_outlive_the_next(onnx_file: Path, onnx_inputs: dict[str, Any]) -> None:
    session = OPENVINO.open(onnx_file)
    first = session.run(onnx_inputs)["h_out"]
    before = first.copy()
    session.run({**onnx_inputs, "h": onnx_inputs["h"] + 1})
    assert np.array_equal(first, before)


@needs_openvino
def test_refuses_with_its_own_reason_in_one_line(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", "(float[1, 4] x) => (float[1, 4] y) { y = own.Bar(x) }")
    with pytest.raises(RefusedError, match=r"openvino refuses it: .*own\.Bar") as caught:
        OPENVINO.open(path)
    assert "\n" not in caught.value.message
    assert "src/" not in caught.value.message


@needs_openvino
@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08\x08\x12"])
def test_refuses_what_is_not_a_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.onnx"):
        OPENVINO.open(path)


@needs_openvino
def test_refuses_a_size_that_is_not_fixed(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", "(float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }")
    with pytest.raises(InputError, match=r"'x' has the shape .*not all sizes are fixed"):
        OPENVINO.open(path)


@needs_openvino
def test_refuses_inputs_of_another_shape(onnx_file: Path, onnx_inputs: dict[str, Any]) -> None:
    wrong = onnx_inputs | {"x": onnx_inputs["x"][..., :7]}
    with pytest.raises(InputError, match=r"float32\[1, 1, 8\]"):
        OPENVINO.open(onnx_file).run(wrong)


@needs_openvino
def test_a_call_that_fails_is_an_error_about_these_inputs(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", "(float[1, 4] x) => (float[1, 4] y) { y = Relu(x) }")
    session = OPENVINO.open(path)

    class Broken:
        def run(self, inputs: object) -> None:
            raise RuntimeError("Exception from src/a.cpp:1:\nCheck 'b' failed at c:\nno room\n")

    broken = ov.OpenVinoSession(path, session.signature, Broken(), "")
    with pytest.raises(InputError, match=r"openvino fails on these inputs: no room$"):
        broken.run({"x": np.zeros((1, 4), np.float32)})


def test_shows_no_values_inside(onnx_file: Path, onnx_inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="shows no values inside") as caught:
        OPENVINO.read_tensors(onnx_file, ["relu"], onnx_inputs)
    assert caught.value.hint == "choose another runtime for them"


def test_names_the_extra_when_it_is_not_installed(
    onnx_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError) as caught:
        OPENVINO.open(onnx_file)
    assert caught.value.extra == "openvino"


WATCH = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if "telemetry" in name or name == "openvino.tools.ovc":
            print("IMPORTED", name, file=sys.stderr)
        return None

sys.meta_path.insert(0, Watch())
"""


def telemetry_of(script: str, home: Path) -> list[str]:
    """The modules that report, as a process of its own looks them up; none is sent: CI is set."""
    environment = {"HOME": str(home), "CI": "true", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", WATCH + script],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    lines = done.stderr.splitlines()
    return [line.split()[-1] for line in lines if line.startswith("IMPORTED")]


@needs_openvino
def test_the_watch_sees_an_import_that_reports(tmp_path: Path) -> None:
    assert "openvino_telemetry" in telemetry_of("import openvino", tmp_path)


@needs_openvino
def test_reports_nothing(onnx_file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    script = f"""
from pathlib import Path
from tinyml.runtimes.ov import OPENVINO
OPENVINO.open(Path({str(onnx_file)!r}))
assert "openvino.tools.ovc" not in sys.modules
"""
    assert telemetry_of(script, home) == []
    assert list(home.iterdir()) == []  # where the id of a client would lie


@needs_openvino
def test_doctor_tries_it_without_a_report(tmp_path: Path) -> None:
    script = f"""
from tinyml.pipeline.import_check import main
main([{str(tmp_path / "out")!r}, "openvino"])
"""
    assert telemetry_of(script, tmp_path) == []
    assert (tmp_path / "out").read_text().splitlines() == ["openvino", '["openvino", ""]']


@needs_openvino
def test_the_runner_times_it_without_a_report(
    onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    np.savez(tmp_path / "in.npz", **onnx_inputs)
    options = ["--inputs", str(tmp_path / "in.npz"), "--warmup", "1", "--min-time", "0"]
    options += ["--outputs", str(tmp_path / "out.npz")]
    script = f"""
from tinyml.runtimes.runner.main import main
assert main([{str(onnx_file)!r}, "--runtime", "openvino", *{options!r}]) == 0
assert "openvino.tools.ovc" not in sys.modules
"""
    assert telemetry_of(script, tmp_path) == []
    got, want = np.load(tmp_path / "out.npz"), ONNXRUNTIME.open(onnx_file).run(onnx_inputs)
    for name, value in want.items():
        assert POLICIES["engine"].accepts(got[name], value), name


def test_the_precision_is_that_of_the_kernels() -> None:
    class Value:
        def __init__(self, text: str) -> None:
            self.text = text

        def astype(self, _kind: type) -> str:
            return self.text

    class Layer:
        def __init__(self, kind: str, primitive: str) -> None:
            own = {"layerType": kind, "primitiveType": primitive, "runtimePrecision": "i8"}
            self.info = {key: Value(text) for key, text in own.items()}

        def get_rt_info(self) -> dict[str, Value]:
            return self.info

    class Compiled:
        def __init__(self, *layers: Layer) -> None:
            self.layers = layers

        def get_runtime_model(self) -> Compiled:
            return self

        def get_ops(self) -> tuple[Layer, ...]:
            return self.layers

    assert computed(Compiled(Layer("Convolution", "brgconv_avx512_f32"))) == "float32"
    mixed = (
        Layer("Convolution", "jit_I8"),
        Layer("Pooling", "jit_i8"),
        Layer("Softmax", "ref_f32"),
    )
    assert computed(Compiled(*mixed, Layer("Const", "unknown_f32"))) == "int8 and float32"
    assert computed(Compiled(Layer("Convolution", "brgconv_avx512_amx_bf16"))) == "bfloat16"


def test_is_imported_by_the_runtime_and_the_runner_only() -> None:
    found = {
        path.as_posix()
        for path, tree in sources().items()
        if "openvino" in {name.partition(".")[0] for name in imports(tree)}
    }
    assert found == {"runtimes/runner/openvino_model.py"}
