"""Which axis of a TFLite tensor is which of PyTorch's, also where sizes do not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from shipped import ship
from torch import Tensor, nn

from tinyml.core.bundle import in_order
from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.blocks import blocks
from tinyml.export.capture.program import capture
from tinyml.export.capture.stage_values import eager_values
from tinyml.export.formats.tflite.layouts import Produced, layout
from tinyml.export.parity import cases, compare
from tinyml.export.rewrites import rewrite


def tensor(
    index: int, shape: tuple[int, ...], operator: str, *inputs: int, order: tuple[int, ...] = ()
) -> Produced:
    return Produced(index, shape, operator, inputs, (), False, order)


@pytest.mark.parametrize(
    ("wanted", "held", "order"),
    [
        ((1, 4, 8), (1, 4, 8), ()),
        ((1, 4, 8), (4, 8), (-1, 0, 1)),
        ((1, 4, 8, 6), (1, 8, 6, 4), (0, 3, 1, 2)),
        ((1, 4, 8), (1, 1, 8, 4), (-1, 3, 2)),
        ((1, 4, 8), (32,), None),
        ((1, 4, 4, 4), (1, 4, 4, 4), None),
    ],
)
def test_a_layout_is_told_from_sizes_or_not_at_all(
    wanted: tuple[int, ...], held: tuple[int, ...], order: tuple[int, ...] | None
) -> None:
    assert layout(wanted, tensor(0, held, "ADD"), {}) == order


def test_equal_sizes_are_told_apart_by_what_the_tensor_comes_from() -> None:
    convolved = tensor(0, (1, 1, 4, 4), "CONV_2D")
    turned = tensor(1, (1, 4, 1, 4), "TRANSPOSE", 0, order=(0, 3, 1, 2))
    flat = tensor(2, (1, 4, 4), "RESHAPE", 1)
    tensors = {one.index: one for one in (convolved, turned, flat)}
    assert layout((1, 4, 4), convolved, tensors) == (-1, 3, 2)
    assert layout((1, 4, 4), flat, tensors) == ()


def test_an_order_brings_a_tensor_to_pytorchs_axes() -> None:
    value = np.arange(12.0).reshape(1, 1, 4, 3)
    np.testing.assert_array_equal(in_order(value, (-1, 3, 2)), value.transpose(0, 3, 2, 1)[..., 0])
    assert in_order(value[0, 0], (-1, 1, 0)).shape == (1, 3, 4)


class Spread(nn.Module):
    """A variance, which is written as a sum of squares by a number."""

    def forward(self, x: Tensor) -> Tensor:
        return x.var(1)


class Fused(nn.Module):
    """Shifts and factors that the converter moves into the weights of what follows."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.norm = nn.Linear(6, 8), nn.LayerNorm(8)
        self.hidden, self.act = nn.Linear(8, 8), nn.ReLU()
        self.row, self.spread = nn.Conv1d(5, 8, 3, padding=1), Spread()
        self.back = nn.Linear(8, 8)
        self.positions = nn.Parameter(torch.randn(1, 5, 8))
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.norm(self.project(x) + self.positions)
        return {"y": self.back(self.spread(self.row(self.act(self.hidden(x)))))}


def test_no_stage_is_read_from_a_tensor_with_another_value(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Fused().eval()
    signature = Signature((TensorSpec("x", (1, 5, 6)),), (TensorSpec("y", (1, 8)),))
    inputs = cases(signature, seed=0)["random"]
    stages = blocks(module, inputs)
    shipped = ship(rewrite(capture(module, signature, stages))[0], "tflite", tmp_path)
    want, _ = eager_values(module, inputs, signature, stages)
    rows = compare("litert", "random", want, shipped.stages(inputs), stages)
    verdicts = {row.stage: row.verdict for row in rows}
    assert verdicts == {
        "project": "fused away",
        "norm": "fused away",
        "hidden": "fused away",
        "act": "pass",
        "row": "pass",
        "spread": "fused away",
        "back": "pass",
    }
