"""What a converter refuses is named: the smallest part, its class, its line, and a fix."""

from __future__ import annotations

import json
from pathlib import Path

import broken_networks
import pytest
import torch
from broken_networks import SIGNATURE, Spectrum, broken
from broken_places import wording
from torch import Tensor, nn

from tinyml.core.errors import ExportError, MachineError, TinymlError
from tinyml.core.typed_json import read_json, to_json
from tinyml.export.capture import bisect_program
from tinyml.export.capture.failure_location import FailureLocation, refusal
from tinyml.export.capture.program import capture
from tinyml.pipeline.formats import named
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.steps import locate_failure
from tinyml.pipeline.steps.locate_failure import locate_conversion_failure

COMPLEX = (
    "take abs, real or imag of torch.stft, which becomes a convolution, or write the FFT as "
    "products with cosines and sines: neither format has complex numbers"
)
ITEM = "keep the value a tensor: .item(), .tolist() and float(tensor) leave the graph"
AT_LITERT = {
    "Spectrum": (
        "LiteRT cannot convert 'body.1.1' (Spectrum, {line:frames = torch.stft(}): "
        "RuntimeError: Unsupported ir element type: complex<f32>",
        COMPLEX,
    ),
    "Phase": (
        "LiteRT cannot convert 'body.1.1' (Phase, {line:return (x * self.turn).real}): "
        "RuntimeError: torch.complex64",
        COMPLEX,
    ),
    "Scale": (
        "LiteRT cannot convert 'body.1.1' (Scale, {line:return x / (x.abs()}): "
        "ConcretizationTypeError: Abstract tracer value encountered where concrete value is "
        "expected: traced array with shape float32[]",
        ITEM,
    ),
}


@pytest.mark.parametrize(
    "name",
    ["Scale", *(pytest.param(n, marks=pytest.mark.slow) for n in AT_LITERT if n != "Scale")],
)
def test_what_litert_cannot_convert_is_named_with_its_line_and_fix(
    name: str, tmp_path: Path
) -> None:
    capture(broken(getattr(broken_networks, name)), SIGNATURE).save(tmp_path)
    locate_failure.main(["tflite", str(tmp_path)])
    smallest = read_json(FailureLocation, Workspace(tmp_path).failure("tflite"))
    error = refusal(named("tflite").refusal, smallest, None, cut_short=False)
    assert (error.message, error.hint) == (wording(AT_LITERT[name][0]), AT_LITERT[name][1])


def test_the_search_runs_in_a_child_and_its_log_is_named(tmp_path: Path) -> None:
    capture(broken(Spectrum), SIGNATURE).save(tmp_path)
    work = Workspace(tmp_path)
    log = work.log("bisect_tflite")
    raw = ExportError("LiteRT cannot convert the model: RuntimeError: somewhere")
    error = locate_conversion_failure(raw, "tflite", work, budget_s=240)
    assert isinstance(error, ExportError)
    assert error.message == wording(AT_LITERT["Spectrum"][0])
    assert error.hint == f"{COMPLEX}; the whole log: {log}"
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_an_error_comes_back_with_the_log_when_the_time_is_too_short(tmp_path: Path) -> None:
    capture(broken(Spectrum), SIGNATURE).save(tmp_path)
    raw = ExportError("LiteRT cannot convert the model: RuntimeError: complex64")
    work = Workspace(tmp_path)
    log = work.log("bisect_tflite")
    error = locate_conversion_failure(raw, "tflite", work, budget_s=0.01)
    assert error.message == raw.message
    assert error.hint == f"{COMPLEX}; the whole log: {log}"


def test_a_part_that_kills_the_converter_is_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search is started again, and takes the try that was never answered as refused."""
    runs = []

    def child(module: str, arguments: list[str], **_: object) -> None:
        runs.append(module)
        work = Workspace(Path(arguments[1]))
        tried, found = work.tried("onnx"), work.failure("onnx")
        if len(runs) == 1:
            tried.write_text(json.dumps({"a..b+a..b": bisect_program.KILLED}))
            raise MachineError("it was killed (SIGSEGV)")
        assert json.loads(tried.read_text()) == {"a..b+a..b": bisect_program.KILLED}
        located = FailureLocation("head", "Head", "net.py:3", bisect_program.KILLED)
        found.write_text(json.dumps(to_json(located)))

    monkeypatch.setattr(locate_failure, "run_child", child)
    error: TinymlError = locate_conversion_failure(
        ExportError("x"), "onnx", Workspace(tmp_path), budget_s=60
    )
    wanted = "PyTorch cannot write 'head' (Head, net.py:3) as ONNX: it kills the converter"
    assert error.message == wanted
    assert len(runs) == 2


def test_of_two_calls_that_fail_the_first_is_named(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = Spectrum()

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.part(x), self.part(2 * x)], 1)[:, :3]

    capture(Twice().eval(), SIGNATURE).save(tmp_path)
    locate_failure.main(["tflite", str(tmp_path)])
    assert json.loads(Workspace(tmp_path).failure("tflite").read_text())["name"] == "part"
