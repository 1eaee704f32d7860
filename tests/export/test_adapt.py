"""However a user's forward takes and returns its tensors, the files have names for all."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tinyml.core.errors import ExportError, InputError
from tinyml.core.spec import Array, Signature
from tinyml.export.adapt import adapted, input_specs, run, signature_of
from tinyml.export.blocks import blocks
from tinyml.export.capture.program import capture, with_stages
from tinyml.export.capture.stage_values import captured_values

A = np.arange(6, dtype=np.float32).reshape(2, 3)
B = np.full((2, 3), 2, np.float32)


class Two(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return a - b, a * b


class OneDict(nn.Module):
    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["a"] - batch["b"] if "b" in batch else batch["a"] + 1


class One(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"doubled": 2 * x}


def answered(module: nn.Module, given: dict[str, Array], layout: str = "nchw") -> dict[str, Array]:
    """By the module, and by its captured program: the same."""
    with adapted(module, list(given), layout):
        eager = run(module, given)
        signature = signature_of(input_specs(given, layout), eager, {})
        _, outputs = captured_values(capture(module, signature), given)
    for name, value in eager.items():
        np.testing.assert_array_equal(outputs[name], value.numpy())
    return outputs


def test_inputs_go_in_by_name_whatever_their_order() -> None:
    outputs = answered(Two(), {"b": B, "a": A})
    np.testing.assert_array_equal(outputs["output_0"], A - B)
    np.testing.assert_array_equal(outputs["output_1"], A * B)


def test_a_forward_that_takes_one_dict_gets_all_inputs() -> None:
    np.testing.assert_array_equal(answered(OneDict(), {"a": A, "b": B})["output"], A - B)
    np.testing.assert_array_equal(answered(OneDict(), {"a": A})["output"], A + 1)


def test_the_only_input_may_have_any_name() -> None:
    np.testing.assert_array_equal(answered(One(), {"audio": A})["doubled"], 2 * A)


def test_names_that_forward_does_not_take_are_told() -> None:
    with (
        pytest.raises(InputError, match=r"\['a', 'c'\], Two.forward takes \['a', 'b'\]"),
        adapted(Two(), ["a", "c"]),
    ):
        pass


class Optional(nn.Module):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x if mask is None else x * mask


class Plain(nn.Module):
    def forward(self, x):  # type: ignore[no-untyped-def]
        return x.abs()


class Keyword(nn.Module):
    def forward(self, x: Tensor, *, gain: Tensor) -> Tensor:
        return x * gain


@pytest.mark.parametrize(
    ("module", "names", "takes"),
    [
        (One(), ["a", "b"], r"One.forward takes \['x'\]$"),
        (Optional(), ["a", "b"], r"Optional.forward takes \['x', 'mask'\]$"),
        (Optional(), ["mask"], r"Optional.forward takes \['x', 'mask'\]$"),
        (Keyword(), ["a"], r"Keyword.forward takes \['x', 'gain'\]$"),
        (Plain(), ["a", "b"], r"Plain.forward takes \['x'\]; with all in a dict it fails: 'dict'"),
    ],
)
def test_names_that_do_not_fit_are_named_and_never_passed_on(
    module: nn.Module, names: list[str], takes: str
) -> None:
    with (
        pytest.raises(
            InputError, match=rf"the sample has the inputs {re.escape(str(names))}, {takes}"
        ),
        adapted(module, names),
    ):
        run(module, dict.fromkeys(names, A))


def test_channels_last_inputs_reach_the_module_channels_first() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    image = np.random.default_rng(0).standard_normal((1, 3, 6, 5)).astype(np.float32)
    want = answered(net.eval(), {"x": image})["output"]
    last = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(answered(net, {"x": last}, "nhwc")["output"], want, atol=1e-6)
    (spec,) = input_specs({"x": last}, "nhwc")
    assert (spec.shape, spec.axes) == ((1, 6, 5, 3), ("batch", "height", "width", "channels"))
    assert input_specs({"x": A}, "nhwc")[0].axes == ()


def test_the_module_is_as_it_was_after_an_error_too() -> None:
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3).eval())
    with pytest.raises(RuntimeError, match="mat1"), adapted(net, ["x"]):
        nn.Linear(2, 2)(torch.zeros(1, 3))
    assert (net.training, net[0].training, net[1].training) == (True, True, False)
    assert "forward" not in vars(net)
    own = One().forward
    net.forward = own
    with adapted(net, ["x"]):
        assert net.forward is not own
        assert not any(part.training for part in net.modules())
    assert net.forward is own


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (A.astype(np.float64), "float32"),
        (A.astype(np.complex64), "float32, float16"),
        (A.astype(np.uint16), "int8"),
    ],
)
def test_types_that_no_format_takes_are_told_with_the_cure(array: Array, words: str) -> None:
    with pytest.raises(InputError, match=f"'x' is {array.dtype}") as caught:
        input_specs({"x": array})
    assert words in caught.value.hint


@pytest.mark.parametrize("name", ["self", "a.b", "class", "0"])
def test_names_that_cannot_be_an_input_are_told(name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of an input"):
        input_specs({name: A})


@pytest.mark.parametrize("returned", [[[torch.zeros(1)]], {"a": None}, 3.0, {1: torch.zeros(1)}])
def test_what_is_no_tensor_is_told(returned: Any) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return returned

    with pytest.raises(ExportError, match="Odd returns a"):
        run(Odd(), {"x": A})


def test_one_name_for_an_input_and_an_output_is_told() -> None:
    with pytest.raises(InputError, match="'x' is an input and an output"):
        signature_of(input_specs({"x": A}), {"x": torch.zeros(1)}, {})


def test_states_are_checked_against_the_shapes() -> None:
    specs = input_specs({"x": A, "h": B})
    outputs = {"y": torch.zeros(1), "new": torch.zeros(2, 3)}
    assert isinstance(signature_of(specs, outputs, {"h": "new"}), Signature)
    with pytest.raises(InputError, match="differ in shape"):
        signature_of(specs, outputs, {"h": "y"})
    with pytest.raises(InputError, match="no output is called 'gone'"):
        signature_of(specs, outputs, {"h": "gone"})


class Repeated(nn.Module):
    """One module called twice, one that is never called, one that computes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.idle = nn.Linear(3, 3)
        self.gate = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.first(self.first(x).relu()))


def test_only_stages_that_compute_something_are_kept() -> None:
    net, given = Repeated().eval(), {"x": A}
    with adapted(net, ["x"]):
        found = blocks(net, given)
        captured = capture(net, signature_of(input_specs(given), run(net, given), {}))
    stages = with_stages(captured, [*found, "gate", "idle", "nowhere"]).stages
    assert set(found) == {"first", "first#2"}
    assert set(stages) == {"first", "first#2"}
