"""Cross-layer equalization: fires, refuses, twice is once, and not one bit of the answers moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import noise
from torch import Tensor, nn

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import Captured, capture
from tinyml.export.capture.stage_values import captured_values, eager_values
from tinyml.export.parity import compare
from tinyml.export.rewrites.equalize_layers import equalize_layers

SPREAD = torch.where(torch.arange(8) % 2 == 0, 1000.0, 1.0)


class Named(nn.Module):
    """``parts`` in a row, in a dictionary as users' modules are captured."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.body(x)}


class Means(nn.Module):
    """A mean over pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Twice(nn.Module):
    """What lies between two layers is read once more."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = self.first(x)
        return {"y": self.second(maps) + maps}


class Shared(nn.Module):
    """One layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.layer(torch.relu(self.layer(x)))}


def captured(module: nn.Module, shape: tuple[int, ...]) -> Captured:
    """Of ``module``, which gets uneven weights."""
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv1d | nn.Linear) and len(layer.weight) == len(
            SPREAD
        ):
            nn.init.normal_(layer.weight)
            with torch.no_grad():
                layer.weight.mul_(SPREAD.reshape(-1, *[1] * (layer.weight.dim() - 1)))
    out = module.eval()(torch.zeros(shape))["y"]
    signature = Signature((TensorSpec("x", shape),), (TensorSpec("y", tuple(out.shape)),))
    stages = [f"body.{i}" for i in range(len(module.body))] if hasattr(module, "body") else []
    return capture(module, signature, stages)


def peaks(made: Captured, name: str) -> Tensor:
    """[channels] largest weight of each of a layer's outputs."""
    return made.program.state_dict[name].detach().abs().flatten(1).amax(1)


PAIRS = {
    "convolutions": ((nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1)), (1, 3, 8, 8), 1),
    "into depthwise and out of it": (
        (nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 4, 1)),
        (1, 3, 8, 8),
        2,
    ),
    "a pool between": ((nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Conv2d(8, 4, 1)), (1, 3, 9, 9), 1),
    "a mean and a matrix": (
        (nn.Conv2d(3, 8, 3), nn.ReLU(), Means(), nn.Linear(8, 4)),
        (1, 3, 8, 8),
        1,
    ),
    "matrices": ((nn.Linear(3, 8), nn.LeakyReLU(), nn.Linear(8, 4, bias=False)), (1, 5, 3), 1),
    "along time": ((nn.Conv1d(3, 8, 3), nn.ReLU(), nn.Conv1d(8, 4, 3)), (1, 3, 20), 1),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_pairs_are_equalized_once_and_every_bit_stays(kind: str) -> None:
    parts, shape, pairs = PAIRS[kind]
    module = Named(*parts)
    made = captured(module, shape)
    inputs = {"x": noise(*shape, seed=7)}
    _, want = eager_values(module, inputs, made.signature, ())
    before = {name: peaks(made, name) for name in made.program.state_dict if "weight" in name}
    stages = dict(made.stages)
    assert equalize_layers(made.program, stages).count == pairs
    made.program.graph.lint()
    made.program.validate()  # type: ignore[no-untyped-call]
    _, got = captured_values(Captured(made.program, stages, made.signature), inputs)
    (row,) = compare("equalized", "noise", want, got, ["y"], policy="bitwise")
    assert row.verdict == "pass"
    uneven = next(name for name, own in before.items() if own.max() > 300 * own.min())
    after = peaks(made, uneven)
    assert after.max() / after.min() < 0.2 * before[uneven].max() / before[uneven].min()
    assert stages["body.0"] is None
    assert stages[f"body.{len(parts) - 1}"] is not None
    assert equalize_layers(made.program, stages).count == 0


def test_both_sides_of_a_pair_meet_within_a_factor_of_two() -> None:
    made = captured(Named(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1)), (1, 3, 4, 4))
    equalize_layers(made.program, {})
    first, second = (own for name, own in made.program.state_dict.items() if "weight" in name)
    ratio = first.detach().abs().flatten(1).amax(1) / second.detach().abs().amax((0, 2, 3))
    assert bool(((ratio >= 0.5) & (ratio <= 2.0)).all())


REFUSED: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "a cut at six": (Named(nn.Conv2d(3, 8, 1), nn.ReLU6(), nn.Conv2d(8, 4, 1)), (1, 3, 4, 4)),
    "a bend": (Named(nn.Conv2d(3, 8, 1), nn.SiLU(), nn.Conv2d(8, 4, 1)), (1, 3, 4, 4)),
    "another reader": (Twice(), (1, 8, 4, 4)),
    "a weight used twice": (Shared(), (1, 8, 4, 4)),
    "groups of several": (
        Named(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1, groups=2)),
        (1, 3, 4, 4),
    ),
    "a matrix along the rows of an image": (
        Named(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Linear(8, 4)),
        (1, 3, 4, 8),
    ),
    "channels that a reshape moves": (
        Named(nn.Conv2d(3, 8, 1), nn.Flatten(), nn.Linear(128, 4)),
        (1, 3, 4, 4),
    ),
    "the last layer": (Named(nn.ReLU(), nn.Conv2d(3, 8, 1)), (1, 3, 4, 4)),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_does_not_let_a_factor_through_is_left_as_it_is(why: str) -> None:
    module, shape = REFUSED[why]
    made = captured(module, shape)
    before = {name: value.clone() for name, value in made.program.state_dict.items()}
    stages = dict(made.stages)
    assert equalize_layers(made.program, stages).count == 0
    assert stages == made.stages
    for name, value in made.program.state_dict.items():
        np.testing.assert_array_equal(value.detach().numpy(), before[name].detach().numpy())


def test_channels_without_weights_are_left_alone() -> None:
    module = Named(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    made = captured(module, (1, 3, 4, 4))
    with torch.no_grad():
        for name, value in made.program.state_dict.items():
            if value.dim() > 1:
                value[0] = 0.0
            if value.shape[:2] == (4, 8):
                value[:, 3] = 0.0
            assert name
    equalize_layers(made.program, {})
    assert all(bool(value.isfinite().all()) for value in made.program.state_dict.values())
