"""The operands of a concatenation are followed to the stages and outputs that show them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tinyml.core.parts import OUTPUT, Joined
from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import capture
from tinyml.export.joined import joined


def parts(forward: nn.Module, **outputs: tuple[int, ...]) -> dict[str, tuple[Joined, ...]]:
    specs = tuple(TensorSpec(name, shape) for name, shape in outputs.items())
    signature = Signature((TensorSpec("x", (1, 3, 4, 4)),), specs)
    found = joined(capture(forward.eval(), signature))
    assert {kind for kind, _ in found} <= {OUTPUT}
    return {name: own for (_, name), own in found.items()}


class Moved(nn.Module):
    """Joined, moved, cut and rectified."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pair = torch.stack([x[:, 0], x[:, 1]], 1)
        both = torch.cat([x * 300, pair], 1).permute(0, 2, 3, 1).reshape(1, 16, 5)
        _, last = torch.relu(both).split([2, 3], -1)
        return both, last


class Mixed(nn.Module):
    """A convolution mixes what was joined; nothing is left to tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.cat([x, x], 1))


class Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x[:, :1]], 1).flatten(1)


class Levels(nn.Module):
    """Boxes next to scores at each level, and the levels one after another, as detectors do."""

    def forward(self, x: Tensor) -> Tensor:
        level = torch.cat([x.flatten(2) * 300, x[:, :2].flatten(2)], 1)
        return torch.cat([level, level[:, :, :4]], 2)


def test_labels_follow_what_moves_and_what_computes_each_value_alone() -> None:
    found = parts(Moved(), both=(1, 16, 5), last=(1, 16, 3))
    assert found["both"] == (Joined(2, (0, 0, 0, 1, 2)),)
    assert found["last"] == (Joined(2, (0, 1, 2)),)


def test_a_flattened_join_is_told_apart_along_its_one_axis() -> None:
    assert parts(Flat(), y=(1, 64))["y"] == (Joined(1, (0,) * 48 + (1,) * 16),)


def test_what_is_mixed_is_one_part() -> None:
    assert parts(Mixed(), y=(1, 2, 4, 4)) == {}


def test_parts_along_two_axes_are_told_apart_along_each() -> None:
    levels, channels = Joined(2, (0,) * 16 + (1,) * 4), Joined(1, (0, 0, 0, 1, 1))
    assert set(parts(Levels(), y=(1, 5, 20))["y"]) == {levels, channels}


def test_a_stage_may_have_the_name_of_an_output() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.y = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.y(x), x], 1)

    signature = Signature((TensorSpec("x", (1, 3, 4, 4)),), (TensorSpec("y", (1, 6, 4, 4)),))
    assert set(joined(capture(Named().eval(), signature, ("y",)))) == {(OUTPUT, "y")}
