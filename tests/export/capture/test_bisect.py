"""What cannot be exported is named: the smallest part, its class, its line, and a fix."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import broken_networks
import pytest
import torch
from broken_networks import SAMPLES, SIGNATURE, Broken, Counter, Gate, Spectrum, broken
from torch import Tensor, nn

from tinyml.core.errors import ExportError, MachineError, TinymlError
from tinyml.export.capture import bisect_program, failure_location
from tinyml.export.capture.bisect_module import locate_failure
from tinyml.export.capture.failure_location import FailureLocation, locate_conversion_failure
from tinyml.export.capture.known_errors import KNOWN_ERRORS, UNKNOWN, fix_for
from tinyml.export.capture.program import capture

SOURCE = Path(broken_networks.__file__)
COMPLEX = (
    "write STFT and FFT as real convolutions with cosine and sine kernels: neither format has "
    "complex numbers"
)
BRANCH = "compute both sides and choose with torch.where: a branch on a tensor's value is no graph"
STATE = "make the state an input and an output, and name the pair: `states=IN=OUT`"
ITEM = "keep the value a tensor: .item(), .tolist() and float(tensor) leave the graph"
# Where torch's own wording may change with its version, the start is held.
AT_CAPTURE = {
    "Gate": (
        "torch.export cannot capture 'body.1.1' (Gate, {line:if x.mean() > 0:}): "
        "GuardOnDataDependentSymNode: Could not guard on data-dependent expression Eq(u0, 1)",
        BRANCH,
    ),
    "Counter": (
        "torch.export cannot capture 'body.1.1' (Counter, {forward:Counter}): "
        "the module changes its buffer 'calls' when called",
        STATE,
    ),
    "Custom": (
        "torch.export cannot capture 'body.1.1' (Custom, {line:called: Tensor = swish(x)}): "
        "it calls the custom operator 'tinyml_tests::swish', which no format has",
        "write it with operators of torch: neither format carries a user's own",
    ),
}
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


def place(what: str) -> str:
    """``file:line`` of the line that starts with a text, or of a class's forward."""
    kind, _, text = what.partition(":")
    if kind == "forward":
        line = inspect.getsourcelines(getattr(broken_networks, text).forward)[1]
    else:
        lines = SOURCE.read_text(encoding="utf-8").splitlines()
        line = next(i for i, said in enumerate(lines, 1) if said.strip().startswith(text))
    path = SOURCE.relative_to(Path.cwd()) if SOURCE.is_relative_to(Path.cwd()) else SOURCE
    return f"{path}:{line}"


def wording(template: str) -> str:
    """The template with places filled in."""
    return re.sub(r"\{((?:line|forward):.*?)\}", lambda hit: place(hit[1]), template)


def refused(module: nn.Module, log: Path | None = None) -> ExportError:
    """The error of capture, explained."""
    try:
        capture(module, SIGNATURE)
    except ExportError as error:
        return locate_failure(module, SIGNATURE, error, log=log, budget_s=60)
    raise AssertionError("it was captured")


@pytest.mark.parametrize("name", AT_CAPTURE)
def test_what_torch_cannot_capture_is_named_with_its_line_and_fix_for(name: str) -> None:
    error = refused(broken(getattr(broken_networks, name)))
    message, hint = AT_CAPTURE[name]
    assert error.message.startswith(wording(message))
    assert "\n" not in error.message
    assert error.hint == hint
    assert error.exit_code == 3


@pytest.mark.parametrize("name", AT_LITERT)
def test_what_litert_cannot_convert_is_named_with_its_line_and_fix_for(
    name: str, tmp_path: Path
) -> None:
    capture(broken(getattr(broken_networks, name)), SIGNATURE).save(tmp_path)
    tried, found = tmp_path / "tried.json", tmp_path / "found.json"
    bisect_program.main(["tflite", str(tmp_path), str(tried), str(found)])
    smallest = FailureLocation(**json.loads(found.read_text(encoding="utf-8")))
    error = failure_location.refusal(
        failure_location.WRITERS["tflite"], smallest, None, cut_short=False
    )
    assert (error.message, error.hint) == (wording(AT_LITERT[name][0]), AT_LITERT[name][1])


def test_the_search_runs_in_a_child_and_its_log_is_named(tmp_path: Path) -> None:
    capture(broken(Spectrum), SIGNATURE).save(tmp_path)
    log = tmp_path / "logs" / "bisect.log"
    raw = ExportError("LiteRT cannot convert the model: RuntimeError: somewhere")
    error = locate_conversion_failure(raw, "tflite", tmp_path, log=log, budget_s=240)
    assert isinstance(error, ExportError)
    assert error.message == wording(AT_LITERT["Spectrum"][0])
    assert error.hint == f"{COMPLEX}; the whole log: {log}"
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_an_error_comes_back_with_the_log_when_the_time_is_too_short(tmp_path: Path) -> None:
    capture(broken(Spectrum), SIGNATURE).save(tmp_path)
    raw = ExportError("LiteRT cannot convert the model: RuntimeError: complex64")
    log = tmp_path / "bisect.log"
    error = locate_conversion_failure(raw, "tflite", tmp_path, log=log, budget_s=0.01)
    assert error.message == raw.message
    assert error.hint == f"{COMPLEX}; the whole log: {log}"


def test_a_part_that_kills_the_converter_is_the_one_to_blame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search is started again, and takes the try that was never answered as refused."""
    runs = []

    def child(module: str, arguments: list[str], **_: object) -> None:
        runs.append(module)
        tried, found = Path(arguments[2]), Path(arguments[3])
        if len(runs) == 1:
            tried.write_text(json.dumps({"a..b+a..b": bisect_program.KILLED}))
            raise MachineError("it was killed (SIGSEGV)")
        assert json.loads(tried.read_text()) == {"a..b+a..b": bisect_program.KILLED}
        located = FailureLocation("head", "Head", "net.py:3", bisect_program.KILLED)
        found.write_text(json.dumps(located.to_json()))

    monkeypatch.setattr(failure_location, "run_child", child)
    error: TinymlError = locate_conversion_failure(
        ExportError("x"), "onnx", tmp_path, log=tmp_path / "l", budget_s=60
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
    found = tmp_path / "found.json"
    bisect_program.main(["tflite", str(tmp_path), str(tmp_path / "tried.json"), str(found)])
    assert json.loads(found.read_text())["name"] == "part"


def test_what_fails_in_pytorch_itself_is_said_so(tmp_path: Path) -> None:
    module = Broken(Gate(), SAMPLES).eval()
    module.head = nn.Linear(SAMPLES + 1, 3)
    error = locate_failure(
        module, SIGNATURE, ExportError("x"), log=tmp_path / "capture.log", budget_s=60
    )
    assert error.message.startswith("PyTorch itself fails in 'head' (Linear, ")
    assert place("line:return self.head(self.body(x))") in error.message
    assert "shapes cannot be multiplied" in error.message
    assert str(tmp_path / "capture.log") in error.hint


def test_an_error_that_is_not_about_the_graph_comes_back_as_it_is() -> None:
    error = ExportError("head is in training mode", hint="call module.eval() first")
    module = Broken(nn.Identity(), SAMPLES).eval()
    assert locate_failure(module, SIGNATURE, error, log=None, budget_s=60) is error


def test_without_time_the_module_itself_is_named_and_the_hint_says_why() -> None:
    module = broken(Counter)
    with pytest.raises(ExportError) as caught:
        capture(module, SIGNATURE)
    error = locate_failure(module, SIGNATURE, caught.value, log=None, budget_s=0)
    assert error.message.startswith("torch.export cannot capture the module itself (Broken, ")
    assert error.hint == f"{STATE}; time ran out before smaller parts were tried"


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("RuntimeError: torch.complex64", "complex numbers"),
        ("ConcretizationTypeError: Abstract tracer value", ".item()"),
        ("GuardOnDataDependentSymNode: Could not guard", "data-dependent branch"),
        ("NonConcreteBooleanIndexError: Array boolean", "dynamic shapes"),
        ("the module changes its buffer 'calls' when called", "buffer mutation"),
        ("TypeError: float64 is not supported", "float64"),
        ("failed to legalize operation 'mhlo.convolution'", "unsupported operator"),
        ("outside of ONNX's own set: mine::op", "custom operator"),
        ("the model needs loops or branches, which are not supported", "loops or branches"),
    ],
)
def test_every_known_cause_has_its_fix_for(said: str, cause: str) -> None:
    assert fix_for(said) == {name: remedy for name, _, remedy in KNOWN_ERRORS}[cause]


def test_an_unknown_cause_gets_general_advice() -> None:
    assert fix_for("KeyError: 3") == UNKNOWN


def test_the_reason_of_mlir_loses_its_places_and_dumps() -> None:
    said = (
        "LiteRT cannot convert the model: ValueError: Failed to run converter passes: "
        "<eval_with_key>.6:12:0: error: failed to legalize operation 'mhlo.convolution': "
        '%44 = "mhlo.convolution"(%39, %43) <{batch'
    )
    assert failure_location.reason(said) == (
        "ValueError: Failed to run converter passes: "
        "failed to legalize operation 'mhlo.convolution'"
    )
