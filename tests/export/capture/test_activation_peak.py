"""The peak of a captured program is a lower bound: what a runtime may avoid is not counted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.activation_peak import activation_peak
from tinyml.export.capture.program import capture

pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
# Bytes of the input, and of each value of its shape.
SIZE = 4 * 2 * 8 * 8


class Residual(nn.Module):
    """Two convolutions over a shortcut: three values are alive while the second one runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 2, 3, padding=1)
        self.second = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


class Moved(nn.Module):
    """Views, copies and activations of one value, and the maximum with its places unread."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.ones(1, 64, 64))

    def forward(self, x: Tensor) -> Tensor:
        seen = F.relu(x.reshape(1, 4, 32).transpose(1, 2).contiguous()).sigmoid() * 2.0
        scale = self.table.exp().mean()
        return (seen * scale).max(1).values


class Split(nn.Module):
    """Both halves are read, so both are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.split(1, 1)
        return self.head(left) * right


def peak(module: nn.Module) -> tuple[int, str]:
    x = torch.zeros(1, 2, 8, 8)
    output = TensorSpec("y", tuple(module(x).shape))
    signature = Signature((TensorSpec("x", tuple(x.shape)),), (output,))
    return activation_peak(capture(module.eval(), signature, ()).program)


def test_a_shortcut_stays_alive_over_the_layers_that_it_passes() -> None:
    assert peak(Residual()) == (3 * SIZE, "second")


def test_views_copies_constants_and_activations_take_no_memory_of_their_own() -> None:
    assert peak(Moved())[0] == SIZE


def test_parts_of_a_value_are_counted_once() -> None:
    assert peak(Split()) == (SIZE + SIZE // 2, "head")
