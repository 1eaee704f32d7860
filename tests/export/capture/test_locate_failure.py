"""What a converter refuses is named: the smallest part, its class, its line, and a fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import refused_networks
import torch
from refused_networks import SAMPLES, Network, Spectrum
from refused_places import wording
from torch import Tensor, nn

from tinyml.core.errors import ExportError, InternalError, MachineError, TinymlError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.typed_json import read_json, to_json
from tinyml.export.capture import bisect_program
from tinyml.export.capture.failure_location import UNKNOWN, FailureLocation, refusal
from tinyml.export.capture.known_errors import COMPLEX, UNSUPPORTED, WRITE
from tinyml.export.capture.program import Captured, capture
from tinyml.pipeline.formats import named
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.steps import locate_failure
from tinyml.pipeline.steps.locate_failure import locate_conversion_failure

SIGNATURE = Signature((TensorSpec("x", (1, SAMPLES)),), (TensorSpec("y", (1, 3)),))
# (the start of the user's line, reason, fix) by the class of ``body.1.1``
AT_LITERT = {
    "Spectrum": (
        "return torch.fft.fft(x)",
        f"aten.fft_fft(float32[1, {SAMPLES}]) computes with complex64",
        COMPLEX.fix,
    ),
    "Phase": (
        "return (x * self.turn).real",
        f"aten.mul(float32[1, {SAMPLES}], complex64[{SAMPLES}]) computes with complex64",
        COMPLEX.fix,
    ),
    "Angle": (
        "return torch.angle(",
        f"aten.angle(float32[1, {SAMPLES}]): "
        "the converter has no form of aten.angle.default as it is used here",
        UNSUPPORTED,
    ),
}


def located(name: str) -> str:
    """The message of the network of that name."""
    line, reason, _ = AT_LITERT[name]
    return wording(f"LiteRT cannot convert 'body.1.1' ({name}, {{line:{line}}}): ") + reason


@pytest.mark.parametrize(
    "name",
    ["Angle", *(pytest.param(n, marks=pytest.mark.slow) for n in AT_LITERT if n != "Angle")],
)
def test_what_litert_cannot_convert_is_named_with_its_line_and_fix(
    name: str, tmp_path: Path
) -> None:
    capture(Network(getattr(refused_networks, name)).eval(), SIGNATURE).save(tmp_path)
    locate_failure.main(["tflite", str(tmp_path)])
    smallest = read_json(FailureLocation, Workspace(tmp_path).failure("tflite"))
    error = refusal(named("tflite").refusal, smallest, None, cut_short=False)
    assert (error.message, error.hint) == (located(name), AT_LITERT[name][2])


def test_the_search_runs_in_a_child_and_its_log_is_named(tmp_path: Path) -> None:
    capture(Network(Spectrum).eval(), SIGNATURE).save(tmp_path)
    work = Workspace(tmp_path)
    log = work.log("bisect_tflite")
    raw = ExportError("LiteRT cannot convert the model: RuntimeError: somewhere")
    error = locate_conversion_failure(raw, "tflite", work, budget_s=240)
    assert isinstance(error, ExportError)
    assert error.message == located("Spectrum")
    assert error.hint == f"{COMPLEX.fix}; the whole log: {log}"
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_an_error_comes_back_with_the_log_when_the_time_is_too_short(tmp_path: Path) -> None:
    capture(Network(Spectrum).eval(), SIGNATURE).save(tmp_path)
    raw = ExportError("LiteRT cannot convert the model: RuntimeError: complex64")
    work = Workspace(tmp_path)
    log = work.log("bisect_tflite")
    error = locate_conversion_failure(raw, "tflite", work, budget_s=0.01)
    assert error.message == raw.message
    assert error.hint == f"{UNKNOWN}; the whole log: {log}"


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


def test_a_fault_of_ours_in_another_part_does_not_end_the_search(tmp_path: Path) -> None:
    def write(part: Captured, _: Path) -> None:
        called = [node.target for node in part.program.graph.nodes]
        if torch.ops.aten.angle.default in called:
            raise ExportError("the converter: no angle")
        raise InternalError("no model alone")

    root = capture(Network(refused_networks.Angle).eval(), SIGNATURE).program.module()
    tried, found = tmp_path / "tried.json", tmp_path / "found.json"
    bisect_program.Search(write, root, tried, found).smallest()
    smallest = read_json(FailureLocation, found)
    assert smallest.message == f"aten.angle(float32[1, {SAMPLES}]): no angle"
    assert (smallest.name, smallest.fix) == ("body.1.1", UNSUPPORTED)


@pytest.mark.slow
def test_a_part_that_is_no_model_alone_does_not_end_the_search(tmp_path: Path) -> None:
    """A constant that is copied and detached is what it was: an output that is an input."""
    capture(Network(refused_networks.Marks).eval(), SIGNATURE).save(tmp_path)
    locate_failure.main(["onnx", str(tmp_path)])
    smallest = read_json(FailureLocation, Workspace(tmp_path).failure("onnx"))
    assert smallest.message.startswith(f"aten.put(float32[1, {SAMPLES}], ")
    assert smallest.fix == WRITE.fix


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
