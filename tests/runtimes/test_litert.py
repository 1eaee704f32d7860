from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.tolerance import POLICIES
from tinyml.runtimes import litert
from tinyml.runtimes.base import Runtime
from tinyml.runtimes.litert import LITERT


def tensor_after(path: Path, text: str) -> str:
    """The last tensor of the file whose name contains ``text``."""
    details = litert._session(path).engine.get_tensor_details()
    return str([d["name"] for d in details if text in d["name"]][-1])


def expected(path: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    import torch

    weights = torch.load(path.with_suffix(".pt"), weights_only=True)
    x, h, count = (torch.from_numpy(inputs[name]) for name in ("x", "h", "count"))
    padded = torch.nn.functional.pad(x, (1, 0))
    y = torch.conv1d(padded, weights["conv.weight"], weights["conv.bias"], stride=2)
    head = torch.nn.functional.linear(
        torch.relu(y).mean(-1), weights["head.weight"], weights["head.bias"]
    )
    h_out = torch.tanh(head) + h
    answers = {"p": torch.softmax(h_out, -1), "h_out": h_out, "next": 2 * count, "head": head}
    return {name: value.numpy() for name, value in answers.items()}


def test_is_a_runtime_for_tflite() -> None:
    runtime: Runtime = LITERT
    assert runtime.formats == ("tflite",)
    assert runtime.version()


def test_runs_by_the_names_of_the_signature(
    tflite_file: Path, tflite_inputs: dict[str, Any]
) -> None:
    session = LITERT.open(tflite_file, threads=2)
    assert [spec.name for spec in session.signature.inputs] == ["x", "h", "count"]
    assert session.signature.output("next").dtype == "int32"
    got, want = session.run(tflite_inputs), expected(tflite_file, tflite_inputs)
    assert POLICIES["engine"].accepts(got["p"], want["p"])
    assert POLICIES["engine"].accepts(got["h_out"], want["h_out"])
    assert np.array_equal(got["next"], want["next"])


def test_answers_of_an_earlier_run_stay_as_they_were(
    tflite_file: Path, tflite_inputs: dict[str, Any]
) -> None:
    session = LITERT.open(tflite_file)
    first = session.run(tflite_inputs)["p"]
    kept = first.copy()
    session.run(tflite_inputs | {"x": tflite_inputs["x"] * -7})
    assert np.array_equal(first, kept)


def test_reads_values_from_inside_the_shipped_file(
    tflite_file: Path, tflite_inputs: dict[str, Any]
) -> None:
    name = tensor_after(tflite_file, "Linear_head")
    got = LITERT.read_tensors(tflite_file, [name, "p"], tflite_inputs)
    want = expected(tflite_file, tflite_inputs)
    assert POLICIES["engine"].accepts(got[name], want["head"])
    assert POLICIES["engine"].accepts(got["p"], want["p"])


def test_refuses_a_tensor_that_the_file_does_not_have(
    tflite_file: Path, tflite_inputs: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="no tensor 'nowhere'"):
        LITERT.read_tensors(tflite_file, ["nowhere"], tflite_inputs)


def test_refuses_inputs_of_another_dtype(tflite_file: Path, onnx_inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"'count' is int64\[2\], the model takes int32\[2\]"):
        LITERT.open(tflite_file).run(onnx_inputs)


@pytest.mark.parametrize("size", [0, 7, 900])
def test_refuses_a_truncated_file_in_one_line(
    tflite_file: Path, tmp_path: Path, size: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(tflite_file.read_bytes()[:size])
    with pytest.raises(InputError) as caught:
        LITERT.open(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_prints_nothing_while_it_runs(
    tflite_file: Path, tflite_inputs: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    LITERT.open(tflite_file).run(tflite_inputs)
    assert capfd.readouterr() == ("", "")


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, f"{module}.interpreter", None)
        monkeypatch.setitem(sys.modules, module, None)


def test_falls_back_to_tflite_runtime(
    tflite_file: Path, tflite_inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ai_edge_litert import interpreter

    opened: list[str] = []

    class Interpreter(interpreter.Interpreter):  # type: ignore[misc]
        def __init__(self, model_path: str, **options: Any) -> None:
            opened.append(model_path)
            super().__init__(model_path=model_path, **options)

    stand_in = ModuleType("tflite_runtime.interpreter")
    vars(stand_in).update(Interpreter=Interpreter, OpResolverType=interpreter.OpResolverType)
    without(monkeypatch, "ai_edge_litert")
    monkeypatch.setitem(sys.modules, "tflite_runtime", ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", stand_in)
    got = LITERT.open(tflite_file).run(tflite_inputs)
    assert opened == [str(tflite_file)]
    assert POLICIES["engine"].accepts(got["p"], expected(tflite_file, tflite_inputs)["p"])


def test_names_the_extra_when_neither_is_installed(
    tflite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "ai_edge_litert", "tflite_runtime")
    with pytest.raises(MissingExtraError) as caught:
        LITERT.open(tflite_file)
    assert caught.value.extra == "tflite"


def test_says_which_package_the_version_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"tflite-runtime": "2.14.0"}

    def version(package: str) -> str:
        if package not in present:
            raise litert.importlib.metadata.PackageNotFoundError
        return present[package]

    monkeypatch.setattr(litert.importlib.metadata, "version", version)
    assert LITERT.version() == "tflite-runtime 2.14.0"
    present.clear()
    assert LITERT.version() is None
