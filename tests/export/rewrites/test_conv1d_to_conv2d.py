"""Convolutions along time on rows, for LiteRT: fires, refuses, twice is once, numbers hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from shipped import ship
from torch import Tensor, nn
from torch.fx import GraphModule

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import Captured, capture
from tinyml.export.capture.stage_values import eager_values
from tinyml.export.parity import cases, compare
from tinyml.export.rewrites.conv1d_to_conv2d import conv1d_to_conv2d
from tinyml.modelfile import tflite_file

# torch 2.13 warns about its own use of LeafSpec
pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
STAGES = ("first", "second", "head")
SHAPE = (2, 4, 20)


class Causal(nn.Module):
    """Two convolutions that see the past only, a shortcut, and a third."""

    def __init__(self, between: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 4, 3, dilation=2)
        self.second = nn.Conv1d(4, 4, 3, 2, groups=2, bias=False)
        self.head = nn.Conv1d(4, 3, 1)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        seen = self.first(F.pad(x, (4, 0)))
        return self.head(self.second(F.pad(self.between(seen, x), (2, 0))))


class Line(nn.Sequential):
    """One after the other, of an input with a name."""

    def forward(self, x: Tensor) -> Tensor:
        for part in self:
            x = part(x)
        return x


BETWEEN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "an activation": lambda seen, x: torch.relu(seen),
    "with itself": lambda seen, x: seen + seen * 0.5,
    "a sum with what is not in rows": lambda seen, x: seen + x,
    "another shape": lambda seen, x: seen - seen.mean(2, keepdim=True),
    "what is not taken": lambda seen, x: torch.softmax(seen, 1),
    "a value that others use": lambda seen, x: torch.tanh(seen) * seen.flip(2),
}


def taken(module: nn.Module, shape: tuple[int, ...] = SHAPE) -> tuple[Captured, Signature]:
    out = tuple(module(torch.zeros(shape)).shape)
    signature = Signature((TensorSpec("x", shape),), (TensorSpec("y", out),))
    stages = [stage for stage in STAGES if hasattr(module, stage)]
    return capture(module.eval(), signature, stages), signature


def rewritten(module: nn.Module, shape: tuple[int, ...] = SHAPE) -> tuple[GraphModule, int]:
    graph: GraphModule = taken(module, shape)[0].program.module()
    count = conv1d_to_conv2d(graph.graph).count
    graph.graph.lint()
    graph.recompile()
    return graph, count


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
def test_it_fires_once_and_the_numbers_hold(between: Callable[[Tensor, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    module, x = Causal(between), torch.randn(SHAPE)
    graph, count = rewritten(module)
    assert count == 3
    called = Counter(str(node.target) for node in graph.graph.nodes)
    assert called["aten.conv2d.default"] == 3
    assert not called["aten.conv1d.default"]
    assert conv1d_to_conv2d(graph.graph).count == 0
    with torch.no_grad():
        (answer,) = graph(x=x).values()
        np.testing.assert_allclose(answer.numpy(), module(x).numpy(), rtol=1e-5, atol=1e-6)
        for node in graph.graph.nodes:  # shapes noted are those computed
            if node.target is torch.ops.aten.conv2d.default:
                assert node.meta["val"].shape[2] == 1


def test_what_lies_between_stays_in_rows() -> None:
    graph, _ = rewritten(Causal(BETWEEN["an activation"]))
    called = Counter(str(node.target).partition(".default")[0] for node in graph.graph.nodes)
    assert called["aten.squeeze.dim"] == 1
    assert called["aten.unsqueeze"] == 1 + 3  # the signal, and each kernel


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (Line(nn.Conv1d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv1d(4, 3, 1)), SHAPE),
        (Line(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(4, 4, 3)), SHAPE[1:]),
        (Line(nn.ZeroPad2d((2, 0, 1, 0)), nn.Conv1d(5, 4, 3)), SHAPE),
        (Line(nn.ReflectionPad1d((2, 0)), nn.Conv1d(4, 4, 3)), SHAPE),
        (Line(nn.ConstantPad1d((2, 0), 0.0), nn.ReLU()), SHAPE),
    ],
    ids=["its own padding", "no batch", "channels padded", "reflected", "no convolution"],
)
def test_it_refuses(module: nn.Module, shape: tuple[int, ...]) -> None:
    graph, count = rewritten(module, shape)
    assert count == 0
    assert all(node.target is not torch.ops.aten.conv2d.default for node in graph.graph.nodes)


def test_the_file_has_no_transposes_between_and_every_stage_holds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Causal(BETWEEN["an activation"])
    captured, signature = taken(module)
    shipped = ship(captured, "tflite", tmp_path)
    assert shipped.facts.passes["conv1d_to_conv2d"] == 3
    model = tflite_file.unpack(shipped.path.read_bytes())
    codes = [model.operatorCodes[op.opcodeIndex] for op in model.subgraphs[0].operators]
    moves = [tflite_file.operator_name(code) for code in codes]
    assert moves.count("TRANSPOSE") <= 2
    assert moves.count("RESHAPE") <= 2
    for case, inputs in cases(signature, seed=0).items():
        want, _ = eager_values(module, inputs, signature, STAGES)
        rows = compare("litert", case, want, shipped.stages(inputs), STAGES)
        assert {row.verdict for row in rows} <= {"pass", "fused away"}
        assert [row.verdict for row in rows].count("pass") >= 2
