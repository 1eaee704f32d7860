from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.tolerance import POLICIES
from tinyml.runtimes import ort
from tinyml.runtimes.base import Runtime, failure, refusal
from tinyml.runtimes.ort import ONNXRUNTIME
from tinyml.runtimes.runner import machine
from tinyml.runtimes.runner.engines import import_runtime


def expected(inputs: dict[str, Any], weights: Any) -> dict[str, Any]:
    """The network of conftest in numpy."""
    padded = np.pad(inputs["x"][0, 0], (1, 0))
    starts = range(0, padded.size - 2, 2)
    bias = np.array([0.5, -0.25, 0.125])
    conv = np.stack([weights[:, 0] @ padded[s : s + 3] + bias for s in starts], axis=-1)[None]
    relu = np.maximum(conv, 0)
    h_out = relu.mean(-1) + inputs["h"]
    power = np.exp(h_out)
    return {"relu": relu, "h_out": h_out, "p": power / power.sum(), "next": 2 * inputs["count"]}


def kernel_of(path: Path) -> Any:
    import onnx
    from onnx import numpy_helper

    weights = {w.name: w for w in onnx.load(path).graph.initializer}
    return numpy_helper.to_array(weights["kernel"])


def test_is_a_runtime_for_onnx() -> None:
    runtime: Runtime = ONNXRUNTIME
    assert runtime.formats == ("onnx",)
    assert runtime.version()


def test_runs_several_inputs_and_outputs_by_name(
    onnx_file: Path, onnx_inputs: dict[str, Any]
) -> None:
    session = ONNXRUNTIME.open(onnx_file)
    assert [spec.name for spec in session.signature.inputs] == ["x", "h", "count"]
    assert session.signature.output("next").dtype == "int64"
    got = session.run(onnx_inputs)
    want = expected(onnx_inputs, kernel_of(onnx_file))
    assert list(got) == ["p", "h_out", "next"]
    assert POLICIES["engine"].accepts(got["p"], want["p"])
    assert POLICIES["engine"].accepts(got["h_out"], want["h_out"])
    assert np.array_equal(got["next"], want["next"])


def test_reads_values_from_inside_the_shipped_file(
    onnx_file: Path, onnx_inputs: dict[str, Any]
) -> None:
    before = onnx_file.read_bytes()
    got = ONNXRUNTIME.read_tensors(onnx_file, ["relu", "p", "x"], onnx_inputs)
    want = expected(onnx_inputs, kernel_of(onnx_file))
    assert POLICIES["engine"].accepts(got["relu"], want["relu"])
    assert POLICIES["engine"].accepts(got["p"], want["p"])
    assert np.array_equal(got["x"], onnx_inputs["x"])
    assert onnx_file.read_bytes() == before


def test_suggests_the_nearest_tensor(onnx_file: Path, onnx_inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no tensor 'relo'") as caught:
        ONNXRUNTIME.read_tensors(onnx_file, ["relo"], onnx_inputs)
    assert caught.value.hint == "did you mean 'relu'?"


def test_refuses_inputs_of_another_shape(onnx_file: Path, onnx_inputs: dict[str, Any]) -> None:
    wrong = onnx_inputs | {"x": onnx_inputs["x"][..., :7]}
    with pytest.raises(InputError, match=r"float32\[1, 1, 8\]"):
        ONNXRUNTIME.open(onnx_file).run(wrong)
    with pytest.raises(InputError, match="fails on these inputs"):
        ONNXRUNTIME.read_tensors(onnx_file, ["relu"], wrong)


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08\x08\x12"])
def test_refuses_what_is_no_model_in_one_line(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        ONNXRUNTIME.open(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    with pytest.raises(InputError):
        ONNXRUNTIME.read_tensors(path, ["relu"], {})
    assert capfd.readouterr().out == ""


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model file"):
        ONNXRUNTIME.open(tmp_path / "none.onnx")


def test_refuses_a_size_that_is_not_fixed(onnx_file: Path) -> None:
    import onnx

    model = onnx.load(onnx_file)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx_file.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"'x' has the shape .*'batch'.* not fixed"):
        ONNXRUNTIME.open(onnx_file)


@pytest.mark.parametrize("depth", [1, 20, 60])
def test_the_reason_of_an_engine_begins_as_it_said_it_wherever_the_file_lies(depth: int) -> None:
    path, reason = Path("/".join(["folder"] * depth)), f"no operator\nFoo {500 * 'x'}"
    for error in (refusal(path, "engine", reason), failure(path, "engine", reason)):
        assert ": no operator Foo x" in error.message


def test_reads_no_weights_from_another_file(onnx_file: Path, onnx_inputs: dict[str, Any]) -> None:
    import onnx

    (onnx_file.parent.parent / "secret.bin").write_bytes(b"\0" * 12)
    model = onnx.load(onnx_file)
    bias = next(w for w in model.graph.initializer if w.name == "bias")
    bias.ClearField("float_data")
    bias.ClearField("raw_data")
    bias.data_location = onnx.TensorProto.EXTERNAL
    bias.external_data.add(key="location", value="../secret.bin")
    onnx_file.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="escapes"):
        ONNXRUNTIME.open(onnx_file)
    with pytest.raises(InputError, match="1 of its weights in another file"):
        ONNXRUNTIME.read_tensors(onnx_file, ["relu"], onnx_inputs)


def test_names_the_extra_when_it_is_not_installed(
    onnx_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError) as caught:
        ONNXRUNTIME.open(onnx_file)
    assert caught.value.extra == "onnx"


def test_reading_inside_names_onnx_when_only_the_runtime_is_there(
    onnx_file: Path, onnx_inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    ONNXRUNTIME.open(onnx_file).run(onnx_inputs)
    with pytest.raises(MissingExtraError, match="onnx is not installed"):
        ONNXRUNTIME.read_tensors(onnx_file, ["relu"], onnx_inputs)


def test_no_version_when_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> str:
        raise ort.importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(ort.importlib.metadata, "version", missing)
    assert ONNXRUNTIME.version() is None


def test_a_size_that_the_engine_infers_otherwise_is_the_files(tmp_path: Path) -> None:
    """Its inference counts a window that would begin in the padding, and then knows no size."""
    import onnx

    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> graph (float[1, 1, 8] x) => (float[1, 1, 3] y) '
        "{ y = MaxPool<kernel_shape = [3], strides = [3], pads = [1, 1], ceil_mode = 1>(x) }"
    )
    onnx.save(model, tmp_path / "pool.onnx")
    session = ONNXRUNTIME.open(tmp_path / "pool.onnx")
    assert session.signature.output("y").shape == (1, 1, 3)
    assert session.run({"x": np.zeros((1, 1, 8), np.float32)})["y"].shape == (1, 1, 3)


def rounding_file(path: Path) -> Path:
    """Products of the largest integers of eight bits: 64 times 255 * 127 in a sum."""
    import onnx

    values = ", ".join(["127"] * 64)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[1, 64] x) => (float[1, 1] y) '
        f"<float s = {{1}}, uint8 z = {{0}}, int8[64, 1] w = {{{values}}}, int8 v = {{0}}> {{ "
        "q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) "
        "e = DequantizeLinear(w, s, v) y = MatMul(d, e) }"
    )
    onnx.save(model, path)
    return path


def test_sums_of_the_largest_products_are_exact(tmp_path: Path) -> None:
    session = ONNXRUNTIME.open(rounding_file(tmp_path / "m.onnx"))
    assert session.run({"x": np.full((1, 64), 255, np.float32)})["y"] == 255 * 127 * 64


@pytest.mark.parametrize("dot_products", [True, False])
def test_slower_kernels_are_for_cpus_that_need_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dot_products: bool
) -> None:
    monkeypatch.setattr(machine, "has_dot_products", lambda: dot_products)
    path = rounding_file(tmp_path / "m.onnx")
    opener, module, _ = import_runtime("onnxruntime")
    name, value = ort.WHOLE_SUMS
    for engine in (
        ONNXRUNTIME.open(path).engine,
        opener(module, str(path), 1, True, None).session,
    ):
        options = engine.get_session_options()
        if dot_products:
            with pytest.raises(RuntimeError):  # it has none
                options.get_session_config_entry(name)
        else:
            assert options.get_session_config_entry(name) == value


def test_vnni_is_read_from_the_flags_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, has in (("avx2 avx_vnni", True), ("avx512f avx512_vnni", True), ("avx2 fma", False)):
        text = f"processor : 0\nflags\t\t: fpu {flags}\nbugs\t: spectre"
        monkeypatch.setattr(machine, "read_text", lambda _path, text=text: text)
        assert machine.has_dot_products() is has
    monkeypatch.setattr(machine, "read_text", lambda _path: "")
    assert machine.has_dot_products() is False
