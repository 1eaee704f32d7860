"""Operators that LiteRT's converter lacks: fires, refuses, twice is once, numbers hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from shipped import ship
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.nn import functional as F

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import Captured, capture
from tinyml.export.nodes import argument
from tinyml.export.rewrites.use_convertible_operators import use_convertible_operators
from tinyml.export.windows import two

# torch 2.13 warns about its own use of LeafSpec
pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
VOLUME = (1, 2, 6, 7, 8)
_aten = torch.ops.aten
# LiteRT's converter makes a loop of a maximum over windows with gaps.
POOLS = (_aten.max_pool2d.default, _aten.max_pool2d_with_indices.default)


class Of(nn.Module):
    """A function of an input with a name, or a layer of it."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Pair(nn.Module):
    """A bilinear layer of two parts of one input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Bilinear(3, 5, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x[:, :3], x[:, 3:])
        return y


def taken(module: nn.Module, shape: tuple[int, ...]) -> Captured:
    out = module(torch.zeros(shape) + 1)
    specs = TensorSpec("x", shape), TensorSpec("y", tuple(out.shape))
    return capture(module.eval(), Signature(specs[:1], specs[1:]), ())


FIRES = {
    "antialias, to a size": (
        Of(lambda x: F.interpolate(x, (6, 13), mode="bicubic", antialias=True)),
        (1, 4, 10, 9),
    ),
    "antialias, by a factor": (
        Of(lambda x: F.interpolate(x, scale_factor=(0.6, 1.7), mode="bilinear", antialias=True)),
        (2, 3, 10, 9),
    ),
    "bilinear": (Pair(), (2, 8)),
    "floor_divide": (Of(lambda x: torch.floor_divide(4 * x, x.abs() + 0.5)), (2, 9)),
    "floor_divide by a number": (Of(lambda x: torch.floor_divide(4 * x, 3)), (2, 9)),
    "div, floor": (Of(lambda x: torch.div(4 * x, x.abs() + 0.5, rounding_mode="floor")), (2, 9)),
    "one_hot": (Of(lambda x: F.one_hot((x > 1).long(), 3).float()), (2, 9)),
    "avg_pool2d, padding left out": (
        Of(nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
        (1, 4, 10, 9),
    ),
    "avg_pool2d, ceil": (
        Of(nn.AvgPool2d((3, 2), 2, (1, 0), ceil_mode=True, count_include_pad=False)),
        (4, 10, 9),
    ),
    "avg_pool3d": (Of(nn.AvgPool3d((2, 3, 2), 2, (1, 1, 0))), VOLUME),
    "avg_pool3d, ceil": (
        Of(nn.AvgPool3d(3, 2, 1, ceil_mode=True, count_include_pad=False)),
        VOLUME,
    ),
    "avg_pool3d without a batch": (Of(nn.AvgPool3d(2)), VOLUME[1:]),
    "max_pool3d": (Of(nn.MaxPool3d((2, 3, 2), 2, (1, 1, 0), (1, 2, 1), ceil_mode=True)), VOLUME),
    "max_pool2d, gaps": (Of(nn.MaxPool2d((3, 2), 2, 1, 2, ceil_mode=True)), (1, 4, 11, 10)),
    "conv_transpose3d": (
        Of(nn.ConvTranspose3d(2, 4, (2, 3, 2), (2, 1, 3), 1, (1, 0, 2), 2, True, (3, 2, 1))),
        VOLUME,
    ),
    "conv_transpose3d, plain": (Of(nn.ConvTranspose3d(2, 3, 2, 2, bias=False)), VOLUME),
    "fold": (Of(nn.Fold((5, 7), 2)), (1, 12, 24)),
    "fold, cropped": (Of(nn.Fold((6, 7), (3, 2), (1, 2), (1, 0), (2, 1))), (12, 15)),
    "pow": (Of(lambda x: x.abs() ** 0.5), VOLUME),
    "nearest, to a size": (Of(nn.UpsamplingNearest2d(size=(15, 7))), (1, 4, 10, 10)),
    "nearest, by a factor": (Of(nn.Upsample(scale_factor=(1.7, 2.0))), (1, 4, 10, 5)),
    "local response": (Of(nn.LocalResponseNorm(2)), (1, 4, 5, 6)),
}
KEPT = {
    "avg_pool2d": (Of(nn.AvgPool2d(3, 2, 1)), (1, 4, 10, 9)),
    "avg_pool2d without padding": (Of(nn.AvgPool2d(3, 2, count_include_pad=False)), (1, 4, 9, 9)),
    "divisor": (Of(nn.AvgPool3d(2, divisor_override=3)), VOLUME),
    "nearest, a whole factor": (Of(nn.Upsample(scale_factor=2.0)), (1, 4, 5, 5)),
    "max_pool2d": (Of(nn.MaxPool2d(3, 2, 1)), (1, 4, 10, 9)),
    "pow of four axes": (Of(lambda x: x.abs() ** 0.5), VOLUME[1:]),
    "div, trunc": (Of(lambda x: torch.div(x, x.abs() + 0.5, rounding_mode="trunc")), (2, 9)),
    "integers": (Of(lambda x: torch.floor_divide(x.int(), 3).float()), (2, 9)),
}


def has_gaps(pool: Node) -> bool:
    return any(gap > 1 for gap in two(argument(pool, 4, "dilation", 1)))


def rewritten(module: nn.Module, shape: tuple[int, ...]) -> tuple[GraphModule, int]:
    graph: GraphModule = taken(module, shape).program.module()
    fired = use_convertible_operators(graph.graph).count
    graph.graph.lint()
    graph.recompile()
    return graph, fired


@pytest.mark.parametrize(("module", "shape"), FIRES.values(), ids=FIRES)
def test_it_fires_once_and_the_numbers_hold(module: nn.Module, shape: tuple[int, ...]) -> None:
    graph, fired = rewritten(module, shape)
    assert fired == 1
    assert use_convertible_operators(graph.graph).count == 0
    assert [n for n in graph.graph.nodes if n.target in POOLS and has_gaps(n)] == []
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (answer,) = graph(x=x).values()
        torch.testing.assert_close(answer, module(x))


class Several(nn.Module):
    """What LiteRT's converter refuses, or lowers to what no runtime has."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.norm = nn.MaxPool3d(2), nn.LocalResponseNorm(2)
        self.mean = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.pair, self.resize = Pair(), nn.UpsamplingNearest2d(size=(5, 8))

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(x)
        normed = self.resize(self.mean(self.norm(pooled.flatten(2, 3))))
        parts: Tensor = self.pair(normed.reshape(-1, 8))
        return torch.floor_divide(16 * parts, parts.abs() + 1)


def test_a_file_holds_what_litert_lacks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = (1, 2, 6, 4, 8)
    module, x = Several(), torch.randn(shape)
    shipped = ship(taken(module, shape), "tflite", tmp_path)
    assert shipped.facts.passes["use_convertible_operators"] == 6
    with torch.no_grad():
        want = module(x)
    (got,) = shipped.outputs({"x": x.numpy()}).values()
    torch.testing.assert_close(torch.from_numpy(got), want)


@pytest.mark.parametrize(("module", "shape"), KEPT.values(), ids=KEPT)
def test_it_leaves_what_is_not_the_same(module: nn.Module, shape: tuple[int, ...]) -> None:
    assert rewritten(module, shape)[1] == 0
