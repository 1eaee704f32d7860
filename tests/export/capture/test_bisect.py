"""What cannot be exported is named: the smallest part, its class, its line, and a fix."""

from __future__ import annotations

from pathlib import Path

import broken_networks
import pytest
from broken_networks import SAMPLES, SIGNATURE, Broken, Counter, Gate, broken
from broken_places import place, wording
from torch import nn

from tinyml.core.errors import ExportError
from tinyml.export.capture import failure_location
from tinyml.export.capture.bisect_module import locate_failure
from tinyml.export.capture.known_errors import KNOWN_ERRORS, UNKNOWN, fix_for
from tinyml.export.capture.program import capture

COMPLEX = (
    "take abs, real or imag of torch.stft, which becomes a convolution, or write the FFT as "
    "products with cosines and sines: neither format has complex numbers"
)
BRANCH = (
    "compute both sides and choose with torch.where: a branch on a tensor's value cannot be "
    "exported"
)
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


def refused(module: nn.Module, log: Path | None = None) -> ExportError:
    """The error of capture, explained."""
    try:
        capture(module, SIGNATURE)
    except ExportError as error:
        return locate_failure(module, SIGNATURE, error, log=log, budget_s=60)
    raise AssertionError("it was captured")


@pytest.mark.parametrize("name", AT_CAPTURE)
def test_what_torch_cannot_capture_is_named_with_its_line_and_fix(name: str) -> None:
    error = refused(broken(getattr(broken_networks, name)))
    message, hint = AT_CAPTURE[name]
    assert error.message.startswith(wording(message))
    assert "\n" not in error.message
    assert error.hint == hint
    assert error.exit_code == 3


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
def test_every_known_cause_has_its_fix(said: str, cause: str) -> None:
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
