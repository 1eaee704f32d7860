"""Functions that a converter lacks: fires, leaves, twice is once, numbers hold, also in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from shipped import ship
from torch import Tensor, nn
from torch.nn import functional as F

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import capture
from tinyml.export.rewrites.decompose_functions import FOR_LITERT, FOR_ONNX, decompose_functions

# torch 2.13 warns about its own use of LeafSpec
pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
Function = Callable[[Tensor], Any]
SHAPE = (2, 6, 7)
ENDS = (-0.5, 0.0, 0.5)
TABLE = torch.arange(20.0).reshape(5, 4).sin()


def bags(x: Tensor, *starts: int, **settings: Any) -> Tensor:
    """Of 84 rows of TABLE, with an empty bag where a start is there twice."""
    ids = (9 * x).abs().to(torch.int64).flatten() % 5
    return F.embedding_bag(ids, TABLE, torch.tensor(starts), **settings)


# Functions of x [2, 6, 7]; rounded where equal values matter.
FUNCTIONS: dict[str, Function] = {
    "cumprod": lambda x: (x + 1).cumprod(1),
    "cumprod of integers": lambda x: x.int().cumprod(-1),
    "cummax": lambda x: x.round().cummax(1),
    "cummin": lambda x: x.round().cummin(-1),
    "logcumsumexp": lambda x: (50 * x).logcumsumexp(1),
    "kthvalue": lambda x: x.kthvalue(3, 2),
    "kthvalue, kept": lambda x: x.kthvalue(1, 0, keepdim=True),
    "median, even": lambda x: x.median(1),
    "median, odd": lambda x: x.median(2, keepdim=True),
    "quantile": lambda x: x.quantile(0.3, 2),
    "quantile of all": lambda x: x.quantile(0.3, keepdim=True),
    "quantile, nearest": lambda x: x.quantile(0.35, 1, True, interpolation="nearest"),
    "quantile, midpoint": lambda x: x.quantile(0.35, 1, interpolation="midpoint"),
    "quantile, the largest": lambda x: x.quantile(1.0),
    "hypot": lambda x: torch.hypot(x, x + 1),
    "adaptive_avg_pool3d": lambda x: F.adaptive_avg_pool3d(x[None], (1, 4, 3)),
    "adaptive_avg_pool3d, equal": lambda x: F.adaptive_avg_pool3d(x[None], (1, 3, 7)),
    "adaptive_max_pool3d": lambda x: F.adaptive_max_pool3d(x[None], (2, 4, 7)),
    "embedding_bag": lambda x: bags(x, 0),
    "embedding_bag, sum": lambda x: bags(x, 0, 9, 9, mode="sum"),
    "embedding_bag, weighted": lambda x: bags(x, 0, 9, mode="sum", per_sample_weights=x.flatten()),
    "embedding_bag, mean": lambda x: bags(x, 0, 9, 9, 40),
    "embedding_bag, max": lambda x: bags(x, 0, 9, 9, mode="max"),
    "embedding_bag, padding": lambda x: bags(x, 0, 50, padding_idx=2),
    "embedding_bag, padding, max": lambda x: bags(x, 0, padding_idx=2, mode="max"),
    "embedding_bag, ends": lambda x: bags(x, 0, 3, 84, include_last_offset=True),
    "cdist": lambda x: torch.cdist(x, 2 * x + 1),
    "cdist, p=1": lambda x: torch.cdist(x, 2 * x[0], p=1.0),
    "cdist, the largest": lambda x: torch.cdist(x, 2 * x, p=float("inf")),
    "bucketize": lambda x: torch.bucketize(x, torch.tensor(ENDS)),
    "bucketize, right": lambda x: torch.bucketize(
        x.round(), torch.tensor(ENDS), right=True, out_int32=True
    ),
    "searchsorted": lambda x: torch.searchsorted(torch.tensor(ENDS), x.round(), side="right"),
    "searchsorted, each row": lambda x: torch.searchsorted(x.sort(-1).values, x * 0.7),
}
KEPT: dict[str, Function] = {
    "median of all": lambda x: x.median(),
    "a share that is a tensor": lambda x: x.quantile(torch.tensor([0.2, 0.8]), 1),
    "places of maxima": lambda x: F.adaptive_max_pool3d(x[None], 1, return_indices=True),
    "cumsum": lambda x: x.cumsum(1),
}


class AllOf(nn.Module):
    """One network of many functions: its capture costs as much as that of one."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, x: Tensor) -> dict[str, Any]:
        return {name: function(x) for name, function in self.functions.items()}


def test_it_fires_once_and_the_numbers_hold() -> None:
    module, table = AllOf(FUNCTIONS).eval(), {**FOR_ONNX, **FOR_LITERT}
    program = torch.export.export(module, (torch.zeros(SHAPE),))
    simpler = decompose_functions(program, table)
    assert not {node.target for node in simpler.graph.nodes} & table.keys()
    assert decompose_functions(simpler, table) is simpler
    for seed in range(3):
        x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(simpler.module()(x), module(x))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("width", [0, 3])
def test_only_an_lstm_with_a_projection_is_written_as_its_steps(width: int) -> None:
    torch.manual_seed(0)
    module = nn.LSTM(7, 5, 2, proj_size=width, bidirectional=True, batch_first=True).eval()
    program = torch.export.export(module, (torch.zeros(SHAPE),))
    simpler = decompose_functions(program, FOR_ONNX)
    assert (simpler is program) == (width == 0)
    x = torch.randn(SHAPE)
    torch.testing.assert_close(simpler.module()(x), module(x))


def test_it_leaves_what_it_does_not_know() -> None:
    program = torch.export.export(AllOf(KEPT).eval(), (torch.zeros(SHAPE),))
    assert decompose_functions(program, FOR_LITERT) is program


class Joined(nn.Module):
    """What neither converter has, and a choice of constant places."""

    def forward(self, x: Tensor) -> Tensor:
        grown, largest = (x + 1).cumprod(1), x.cummax(1).values
        far = torch.hypot(x, x.logcumsumexp(1)) + torch.cdist(x, x + 1).sum(2, keepdim=True)
        middle = x.kthvalue(3, 2, keepdim=True).values + x.quantile(0.3, 2, keepdim=True)
        bucket = torch.bucketize(x, torch.tensor(ENDS)).float()
        far = far + bags(x, 0).sum() + bags(x, 0, 9, mode="max").sum()
        far = far + F.adaptive_avg_pool3d(x[None], (1, 4, 3)).mean()
        return (grown + largest + far + middle + bucket).index_select(2, torch.tensor([3, 1, 4]))


@pytest.mark.parametrize("fmt", [pytest.param("onnx", marks=pytest.mark.slow), "tflite"])
def test_the_files_compute_the_same(fmt: str, tmp_path: Path) -> None:
    specs = TensorSpec("x", SHAPE), TensorSpec("y", (2, 6, 3))
    module = Joined().eval()
    shipped = ship(capture(module, Signature(specs[:1], specs[1:])), fmt, tmp_path)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    (got,) = shipped.outputs({"x": x.numpy()}).values()
    torch.testing.assert_close(torch.from_numpy(got), module(x))
