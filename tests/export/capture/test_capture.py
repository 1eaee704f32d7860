"""Capture: one graph, its stages, and what each computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import SIGNATURE, STAGES, network, noise
from torch import Tensor, nn

from tinyml.core.errors import ExportError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import NAMES, PROGRAM, capture, load
from tinyml.export.capture.stage_values import captured_values, eager_values
from tinyml.export.parity import cases, compare

ONE = Signature((TensorSpec("x", (1, 4)),), (TensorSpec("y", (1, 4)),))


class Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + x


class Around(nn.Module):
    """A module around ``Doubling`` that returns what it is told to."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.twice = Doubling()

    def forward(self, x: Tensor) -> object:
        y = self.twice(x)
        return {"dict": {"y": y}, "tuple": (y,), "tensor": y, "misnamed": {"z": y}}[self.kind]


class Named(nn.Module):
    """A layer of an input with a name."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if bool(x.sum() > 0) else -x


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return x * self.calls


class InPlace(nn.Module):
    """The stage's value is overwritten by the operation behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = Doubling()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.twice(x))


class Assigning(nn.Module):
    """Returns a copy of its input that it wrote into."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.clone()
        y[:, 1:] = 0.0
        return y


class Splitting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.pair(x)
        return a * b


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1, x - 1


def test_the_captured_program_computes_each_stage_as_the_module_does() -> None:
    module = network()
    captured = capture(module, SIGNATURE, STAGES)
    for case, inputs in cases(SIGNATURE, seed=0).items():
        want, outputs = eager_values(module, inputs, SIGNATURE, STAGES)
        got, captured_outputs = captured_values(captured, inputs)
        rows = compare("captured", case, want, got, STAGES)
        rows += compare("captured", case, outputs, captured_outputs, list(outputs))
        assert [row.verdict for row in rows] == ["pass"] * (len(STAGES) + 2)


def test_two_calls_of_one_module_are_two_stages_with_two_values() -> None:
    module = network()
    captured = capture(module, SIGNATURE, STAGES)
    values, _ = captured_values(captured, cases(SIGNATURE, seed=0)["random"])
    assert captured.stages["second"] != captured.stages["second#2"]
    assert not np.allclose(values["second"], values["second#2"])


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    captured = capture(network(), SIGNATURE, STAGES)
    captured.save(tmp_path)
    loaded = load(tmp_path / PROGRAM, tmp_path / NAMES)
    inputs = cases(SIGNATURE, seed=0)["random"]
    assert (loaded.stages, loaded.signature) == (captured.stages, SIGNATURE)
    assert loaded.outputs == captured.outputs
    (_, want), (_, got) = captured_values(captured, inputs), captured_values(loaded, inputs)
    np.testing.assert_array_equal(got["probabilities"], want["probabilities"])


@pytest.mark.parametrize("kind", ["dict", "tuple", "tensor"])
def test_dict_tuple_and_tensor_become_the_signatures_outputs(kind: str) -> None:
    captured = capture(Around(kind).eval(), ONE, ("twice",))
    x = noise(1, 4)
    _, outputs = captured_values(captured, {"x": x})
    np.testing.assert_array_equal(outputs["y"], x + x)


def test_operations_in_place_that_have_no_other_form_are_refused() -> None:
    shape = (1, 4, 3, 3)
    signature = Signature((TensorSpec("x", shape),), (TensorSpec("y", shape),))
    with pytest.raises(ExportError, match="changes the size of a tensor in place"):
        capture(Named(nn.CrossMapLRN2d(2)).eval(), signature)


def test_a_stage_that_is_written_in_place_later_keeps_its_own_value() -> None:
    module, x = InPlace().eval(), -np.ones((1, 4), np.float32)
    want, _ = eager_values(module, {"x": x}, ONE, ("twice",))
    got, _ = captured_values(capture(module, ONE, ("twice",)), {"x": x})
    np.testing.assert_array_equal(want["twice"], 2 * x)
    np.testing.assert_array_equal(got["twice"], 2 * x)


def test_a_stage_that_writes_into_its_value_before_it_returns_it_has_no_node() -> None:
    module = nn.Sequential(Assigning(), nn.Linear(4, 4)).eval()
    captured = capture(module, Signature((TensorSpec("input", (1, 4)),), ONE.outputs), ("0", "1"))
    assert captured.stages == {"0": None, "1": "linear"}


@pytest.mark.parametrize(
    ("module", "stages", "says"),
    [
        (Around("misnamed"), (), r"returns \['z'\], its signature \['y'\]"),
        (Branching(), (), "torch.export cannot capture the module"),
        (Counting(), (), "changes its buffer 'calls'"),
        (Around("dict"), ("treble",), "stage 'treble' computes nothing"),
    ],
)
def test_a_module_that_cannot_be_captured_is_refused_in_one_line(
    module: nn.Module, stages: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ExportError, match=says) as caught:
        capture(module.eval(), ONE, stages)
    assert "\n" not in caught.value.message


def test_a_module_in_training_mode_is_refused() -> None:
    with pytest.raises(ExportError, match="training mode"):
        capture(Doubling(), ONE)


def test_an_output_of_another_shape_than_the_signatures_is_refused() -> None:
    other = Signature(ONE.inputs, (TensorSpec("y", (4, 1)),))
    with pytest.raises(ExportError, match=r"output 'y' is float32\[1, 4\]"):
        capture(Doubling().eval(), other)


def test_a_stage_of_several_tensors_is_refused() -> None:
    with pytest.raises(ExportError, match="'pair' returns a tuple"):
        eager_values(Splitting().eval(), {"x": noise(1, 4)}, ONE, ("pair",))


def test_hooks_are_gone_after_reading_stages() -> None:
    module = Around("dict").eval()
    eager_values(module, {"x": noise(1, 4)}, ONE, ("twice",))
    assert not any(part._forward_hooks for part in module.modules())
