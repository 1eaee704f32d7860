"""What cannot be exported is named: the smallest part, its class, its line, and a fix."""

from __future__ import annotations

from pathlib import Path

import pytest
import refused_networks
from refused_networks import AT_CAPTURE, SAMPLES, Counter, Gate, Network
from refused_places import place, wording
from torch import Tensor, nn

from tinyml.core.errors import ExportError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture import bisect_module, failure_location
from tinyml.export.capture.bisect_module import locate_failure
from tinyml.export.capture.failure_location import UNKNOWN
from tinyml.export.capture.known_errors import CUSTOM, RESIZE, SIZE
from tinyml.export.capture.known_exceptions import (
    BRANCH,
    COPY,
    KNOWN_EXCEPTIONS,
    NUMBER,
    NUMPY,
    ONE_HOT,
)
from tinyml.export.capture.program import capture

SIGNATURE = Signature((TensorSpec("x", (1, SAMPLES)),), (TensorSpec("y", (1, 3)),))
STATE = "make the state an input and an output, and name the pair: `states=IN=OUT`"
# (line, reason, fix) by the class of ``body.1.1``
WANTED = {
    "Gate": (
        "line:if x.mean() > 0:",
        "Python decides by 'x.mean() > 0', which depends on the input's values",
        BRANCH.fix,
    ),
    "Ratio": (
        "line:return x / math.sqrt",
        "'math.sqrt(x.square().sum() + 1.0)' takes a Python number out of a tensor",
        NUMBER.fix,
    ),
    "Peak": (
        "line:return x / float(np.max",
        "'x.numpy()' leaves PyTorch for NumPy",
        NUMPY.fix,
    ),
    "Span": (
        "line:low, high = torch.tensor",
        "'torch.tensor([x.min(), x.max()])' copies values out of tensors",
        COPY.fix,
    ),
    "Classes": (
        "line:return x * functional.one_hot((x > 1).long())[",
        "'functional.one_hot((x > 1).long())' counts the classes in its values",
        ONE_HOT.fix,
    ),
    "Counter": (
        "forward:Counter",
        "the module changes its buffer 'calls' when called",
        STATE,
    ),
    "Swish": (
        "line:called: Tensor = own_swish(x)",
        f"tinyml_tests.swish(float32[1, {SAMPLES}]) is a custom operator, which no format has",
        CUSTOM.fix,
    ),
    "Response": (
        "line:return self.norm(",
        "aten.resize_as_(float32[0], float32[1, 4, 4, 4]) changes the size of a tensor in place",
        RESIZE.fix,
    ),
}


def refused(module: nn.Module, log: Path | None = None) -> ExportError:
    """The error of capture, explained."""
    try:
        capture(module, SIGNATURE)
    except ExportError as error:
        return locate_failure(module, SIGNATURE, error, log=log, budget_s=60)
    raise AssertionError("it was captured")


@pytest.mark.parametrize("name", WANTED)
def test_what_torch_cannot_capture_is_named_with_its_line_and_fix(name: str) -> None:
    error = refused(Network(getattr(refused_networks, name)).eval())
    line, reason, fix = WANTED[name]
    part = "body.1.1.norm" if name == "Response" else "body.1.1"
    kind = "CrossMapLRN2d" if name == "Response" else name
    place = wording(f"torch.export cannot capture '{part}' ({kind}, {{{line}}}): ")
    assert error.message == place + reason
    assert error.hint == fix
    assert error.exit_code == 3


def test_every_known_exception_has_a_network_and_no_fix_fits_two() -> None:
    assert set(WANTED) == {kind.__name__ for kind in AT_CAPTURE}
    fixes = [fix for _, _, fix in WANTED.values()]
    assert {known.fix for known in KNOWN_EXCEPTIONS} <= set(fixes)
    assert len(fixes) == len(set(fixes))


def test_an_unknown_cause_gets_general_advice() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            print(f"{x.mean().item():.2f}")
            return x

    error = refused(Network(Odd).eval())
    assert "(Odd, " in error.message
    assert ": TypeError: " in error.message
    assert error.hint == UNKNOWN


def test_an_output_whose_size_depends_on_values_is_named() -> None:
    class Open(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, x.argmax(1).item() :]

    error = refused(Open().eval())
    assert error.message.startswith("the shape of output 'y', [1, u")
    assert error.hint == SIZE.fix


def test_what_fails_in_pytorch_itself_is_said_so(tmp_path: Path) -> None:
    module = Network(Gate).eval()
    module.head = nn.Linear(SAMPLES + 1, 3)
    error = locate_failure(
        module, SIGNATURE, ExportError("x"), log=tmp_path / "capture.log", budget_s=60
    )
    assert error.message.startswith("PyTorch itself fails in 'head' (Linear, ")
    assert place("line:return self.head(self.body(x))") in error.message
    assert "shapes cannot be multiplied" in error.message
    assert error.hint == f"{bisect_module.BROKEN}; the whole log: {tmp_path / 'capture.log'}"


def test_an_error_that_is_not_about_the_graph_comes_back_as_it_is() -> None:
    error = ExportError("head is in training mode", hint="call module.eval() first")
    module = Network(nn.Identity).eval()
    assert locate_failure(module, SIGNATURE, error, log=None, budget_s=60) is error


def test_without_time_the_module_itself_is_named_and_the_hint_says_why() -> None:
    module = Network(Counter).eval()
    with pytest.raises(ExportError) as caught:
        capture(module, SIGNATURE)
    error = locate_failure(module, SIGNATURE, caught.value, log=None, budget_s=0)
    assert error.message.startswith("torch.export cannot capture the module itself (Network, ")
    assert error.hint == f"{STATE}; time ran out before smaller parts were tried"


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


@pytest.mark.parametrize(
    ("said", "lacking"),
    [
        ("RuntimeError: Lowering not found: aten.angle.default", "aten.angle.default"),
        ("RuntimeError: Unsupported ir element type: complex<f32>", "complex<f32>"),
        (
            "ConversionError: Error when translating node %mode : [num_users=1] = "
            "call_function[target=torch.ops.aten.mode.default](args = (%x,), kwargs = {}). See the",
            "aten.mode.default",
        ),
    ],
)
def test_what_a_converter_lacks_is_one_sentence(said: str, lacking: str) -> None:
    found = failure_location.reason(f"X cannot convert the model: {said}")
    assert found == f"the converter has no form of {lacking} as it is used here"
