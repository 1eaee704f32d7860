"""Padding by a word becomes numbers, for LiteRT: fires, refuses, twice is once, numbers hold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from shipped import ship
from torch import Tensor, nn
from torch.fx import GraphModule

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import Captured, capture
from tinyml.export.rewrites.pad_by_numbers import pad_by_numbers

# torch 2.13 warns about its own use of LeafSpec, and about copies of its own padding
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning"),
]


class Sound(nn.Module):
    """Even kernels along time, with and without dilation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 6, 4, padding="same")
        self.second = nn.Conv1d(6, 4, 8, padding="same", dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(torch.relu(self.first(x)))
        return y


def taken(module: nn.Module, shape: tuple[int, ...]) -> Captured:
    out = tuple(module(torch.zeros(shape)).shape)
    return capture(module.eval(), Signature((TensorSpec("x", shape),), (TensorSpec("y", out),)), ())


class Line(nn.Sequential):
    """Of an input with a name."""

    def forward(self, x: Tensor) -> Tensor:
        for part in self:
            x = part(x)
        return x


CASES = {
    "1d, even": (nn.Conv1d(3, 4, 4, padding="same"), (1, 3, 20), 1),
    "1d, odd": (nn.Conv1d(3, 4, 3, padding="same", bias=False), (1, 3, 20), 0),
    "1d, even, dilated by two": (nn.Conv1d(3, 4, 4, padding="same", dilation=2), (1, 3, 20), 0),
    "1d, without a batch": (nn.Conv1d(4, 4, 2, padding="same", groups=2), (4, 20), 1),
    "2d, one axis even": (
        nn.Conv2d(3, 4, (3, 6), padding="same", dilation=(1, 3)),
        (1, 3, 9, 20),
        1,
    ),
    "2d, valid": (nn.Conv2d(3, 4, 4, padding="valid"), (1, 3, 9, 8), 0),
    "3d, even": (nn.Conv3d(2, 3, (2, 3, 4), padding="same"), (1, 2, 5, 6, 7), 1),
}


@pytest.mark.parametrize(("conv", "shape", "pads"), CASES.values(), ids=CASES)
def test_it_fires_once_and_the_numbers_hold(
    conv: nn.Module, shape: tuple[int, ...], pads: int
) -> None:
    module, x = Line(conv), torch.randn(shape, generator=torch.Generator().manual_seed(0))
    graph: GraphModule = taken(module, shape).program.module()
    named = sum(str(node.target).endswith(".padding") for node in graph.graph.nodes)
    assert pad_by_numbers(graph.graph).count == named
    assert pad_by_numbers(graph.graph).count == 0
    graph.graph.lint()
    graph.recompile()
    called = Counter(str(node.target) for node in graph.graph.nodes)
    assert called["aten.pad.default"] == pads
    assert not any(name.endswith(".padding") for name in called)
    with torch.no_grad():
        (answer,) = graph(x=x).values()
        np.testing.assert_allclose(answer.numpy(), module(x).numpy(), rtol=1e-5, atol=1e-6)


def test_numbers_are_left_alone() -> None:
    graph = taken(Line(nn.Conv1d(3, 4, 4, padding=1)), (1, 3, 20)).program.module()
    assert pad_by_numbers(graph.graph).count == 0


def test_a_file_of_even_kernels_has_one_padding_each_and_the_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, x = Sound(), torch.randn(1, 2, 32)
    shipped = ship(taken(module, (1, 2, 32)), "tflite", tmp_path)
    assert shipped.facts.passes["pad_by_numbers"] == 2
    with torch.no_grad():
        want = module(x).numpy()
    (got,) = shipped.outputs({"x": x.numpy()}).values()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
