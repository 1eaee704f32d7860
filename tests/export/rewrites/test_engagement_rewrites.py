"""What lets XNNPACK use its sparse kernels, in the program: fires, refuses, twice, numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from shipped import FORMATS, ship
from small_networks import noise
from torch import Tensor, nn
from torch.fx import GraphModule

from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.core.tolerance import POLICIES
from tinyml.export.capture.program import Captured, capture
from tinyml.export.capture.stage_values import captured_values, eager_values
from tinyml.export.rewrites.average_over_space import average_over_space
from tinyml.export.rewrites.use_leaky_relu import use_leaky_relu
from tinyml.modelfile import tflite_file
from tinyml.modelfile.tflite_edit import name_of

Function = Callable[[Tensor], Tensor]
SHAPE = (2, 3, 6, 5)


class Of(nn.Module):
    """A convolution, and a function or a module of what it gives."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.inner = function

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.inner(self.conv(x))}


def taken(function: Function, stages: tuple[str, ...] = ()) -> tuple[nn.Module, Captured]:
    torch.manual_seed(0)
    module = Of(function).eval()
    out = module(torch.zeros(SHAPE))["y"]
    spec = TensorSpec("y", tuple(out.shape), dtype=str(out.dtype).removeprefix("torch."))
    signature = Signature((TensorSpec("x", SHAPE),), (spec,))
    return module, capture(module, signature, stages)


def want_of(module: nn.Module, captured: Captured) -> tuple[Arrays, Array]:
    x = {"x": noise(*SHAPE, seed=7)}
    return x, eager_values(module, x, captured.signature, ())[1]["y"]


def slopes(*values: float) -> nn.PReLU:
    activation = nn.PReLU(len(values))
    with torch.no_grad():
        activation.weight.copy_(torch.tensor(values))
    return activation


class Computed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, x.mean().reshape(1))


def leaky(function: Function) -> tuple[Captured, int, bool]:
    """The program after the pass, its count, and whether its numbers hold."""
    module, captured = taken(function)
    stages = dict(captured.stages)
    count = use_leaky_relu(captured.program, stages).count
    captured.program.graph.lint()
    captured.program.validate()  # type: ignore[no-untyped-call]
    x, want = want_of(module, captured)
    got = captured_values(captured, x)[1]["y"]
    return captured, count, POLICIES["bitwise"].accepts(got, want)


@pytest.mark.parametrize(
    "activation",
    [
        *(slopes(0.25), slopes(-0.5), slopes(1.5), slopes(0.1, 0.1, 0.1, 0.1)),
        *(nn.RReLU(), nn.RReLU(0.1, 0.5)),
    ],
    ids=["one", "negative", "steeper than one", "alike in all channels", "rrelu", "its bounds"],
)
def test_an_activation_of_one_slope_is_a_leaky_relu(activation: nn.Module) -> None:
    captured, count, holds = leaky(activation)
    called = [str(node.target) for node in captured.program.graph.nodes]
    assert (count, holds) == (1, True)
    assert "aten.leaky_relu.default" in called
    assert not {"aten.prelu.default", "aten.rrelu.default"} & set(called)
    assert use_leaky_relu(captured.program, {}).count == 0


@pytest.mark.parametrize(
    "activation",
    [
        *(slopes(0.1, 0.1, 0.2, 0.1), slopes(float("nan")), Computed(), nn.LeakyReLU(0.1)),
        lambda x: torch.rrelu(x, training=True),
    ],
    ids=["several", "not a number", "computed", "leaky already", "random"],
)
def test_other_activations_stay(activation: Function) -> None:
    captured, count, _ = leaky(activation)
    before = [str(node.target) for node in taken(activation)[1].program.graph.nodes]
    assert count == 0
    assert [str(node.target) for node in captured.program.graph.nodes] == before


AVERAGES: dict[str, Function] = {
    "a mean": lambda x: x.mean((2, 3)),
    "counted from the end": lambda x: x.mean((-1, -2)),
    "a sum": lambda x: x.sum((2, 3)),
    "columns, then rows": lambda x: x.mean(3).mean(2),
    "rows, then columns": lambda x: x.mean(2).mean(-1),
    "flattened": lambda x: x.flatten(2).mean(2),
    "viewed": lambda x: x.view(2, 4, -1).mean(-1),
}


class Alone(nn.Module):
    """A function of an image."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def moved(function: Function) -> tuple[GraphModule, int, bool]:
    """The copy for LiteRT after the pass, its count, and whether its numbers hold."""
    image = torch.from_numpy(noise(2, 4, 6, 5, seed=7))
    graph: GraphModule = torch.export.export(Alone(function), (image,)).module()
    count = average_over_space(graph.graph).count
    graph.graph.lint()
    graph.recompile()
    want = function(image).numpy()
    (shown,) = graph.graph.output_node().all_input_nodes
    assert tuple(shown.meta["val"].shape) == want.shape
    return graph, count, POLICIES["rewrite"].accepts(graph(image).numpy(), want)


@pytest.mark.parametrize("kind", AVERAGES)
def test_an_average_over_space_keeps_its_axes(kind: str) -> None:
    graph, count, holds = moved(AVERAGES[kind])
    assert (count, holds) == (1, True)
    assert average_over_space(graph.graph).count == 0


OTHERS: dict[str, Function] = {
    "axes kept": lambda x: x.mean((2, 3), keepdim=True),
    "one axis": lambda x: x.mean(2),
    "channels": lambda x: x.mean((1, 2)),
    "all": lambda x: x.mean(),
    "a sum of means": lambda x: x.mean(3).sum(2),
    "channels, then columns": lambda x: x.mean(1).mean(2),
    "rows, then channels": lambda x: x.mean(2).mean(1),
    "other type": lambda x: x.mean((2, 3), dtype=torch.float16),
    "rows used elsewhere": lambda x: (y := x.mean(3)).mean(2) + y[:, :, 0],
    "channels flattened": lambda x: x.flatten(1, 2).mean(2),
    "cut in half": lambda x: x.view(4, 4, 15).mean(2),
    "a maximum": lambda x: x.amax((2, 3)),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_averages_stay(kind: str) -> None:
    _, count, holds = moved(OTHERS[kind])
    assert (count, holds) == (0, True)


class Pooled(nn.Module):
    """With the average and the activation as stages."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.pool = nn.PReLU(), Mean()

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.pool(self.act(x))
        return pooled


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_shipped_file_holds_the_stages_and_no_image_is_moved(fmt: str, tmp_path: Path) -> None:
    module, captured = taken(Pooled(), ("inner.act", "inner.pool"))
    stages = dict(captured.stages)
    assert use_leaky_relu(captured.program, stages).count == 1
    captured.program.graph_module.recompile()
    shipped = ship(Captured(captured.program, stages, captured.signature), fmt, tmp_path)
    x = {"x": noise(*SHAPE, seed=7)}
    want, _ = eager_values(module, x, captured.signature, tuple(stages))
    got = shipped.stages(x)
    for stage in stages:
        found = got[stage]
        assert found is not None
        assert POLICIES["engine"].accepts(found, want[stage])
    if fmt == "tflite":
        model = tflite_file.unpack(shipped.path.read_bytes())
        names = [name_of(model, operator) for operator in model.subgraphs[0].operators]
        assert shipped.facts.passes["average_over_space"] == 1
        assert names.count("TRANSPOSE") == 1  # of the input
        assert "LEAKY_RELU" in names
        assert "MEAN" in names
