"""Sorts, scatters and masks for LiteRT: fires, refuses, twice is once, numbers hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from shipped import ship
from torch import Tensor, nn
from torch.fx import GraphModule

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.functional import without_writing_in_place
from tinyml.export.capture.program import capture
from tinyml.export.outcome import Outcome
from tinyml.export.rewrites.assign_by_where import assign_by_where
from tinyml.export.rewrites.scatter_by_comparison import scatter_by_comparison
from tinyml.export.rewrites.select_by_topk import select_by_topk
from tinyml.modelfile import tflite_file

# torch 2.13 warns about its own use of LeafSpec
pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
PLACES = (2, 0, 1)
Function = Callable[[Tensor, Tensor, Tensor], Any]


def columns(i: Tensor) -> Tensor:
    """One index a value."""
    return torch.stack([i, i.flip(0), (i + 1) % 6])


def assigned(x: Tensor, where: Any, value: Any) -> Tensor:
    y = x.clone()
    y[where] = value
    return y


def loud(x: Tensor) -> Tensor:
    """Writes through a view."""
    y = x.clone()
    row = y[1]
    row[row > 0] = 7.0
    return y


# functions of x [3, 8], places below 6 [8] and a mask [3, 8]
SORTS: dict[str, Function] = {
    "values": lambda x, i, m: torch.topk(x, 3).values,
    "top of the top": lambda x, i, m: torch.topk(torch.topk(x, 5).values.cos(), 2),
    "one row": lambda x, i, m: x[:1].sort(descending=True),
    "sort": lambda x, i, m: x.sort(0),
    "stable": lambda x, i, m: torch.sort(x, stable=True, dim=0, descending=True),
    "argsort": lambda x, i, m: x.argsort(),
    "msort": lambda x, i, m: torch.msort(x),
}
SCATTERS: dict[str, Function] = {
    "one value": lambda x, i, m: x.scatter(1, i.expand(3, 8), 1.0),
    "copies": lambda x, i, m: torch.zeros(3, 8).scatter(1, i.expand(3, 8), x),
    "copies, each its own": lambda x, i, m: torch.zeros(3, 8).scatter(1, columns(i), x),
    "sums": lambda x, i, m: torch.zeros(8, 3).scatter_add(0, i[:, None].expand(-1, 3), x.T),
    "sums, each its own": lambda x, i, m: torch.zeros(3, 8).scatter_add(1, columns(i), x),
    "largest": lambda x, i, m: torch.zeros(3, 8).scatter_reduce(1, columns(i), x, "amax"),
    "index_add": lambda x, i, m: torch.zeros(3, 6).index_add(1, i, x),
    "index_copy": lambda x, i, m: x.index_copy(1, torch.tensor(PLACES), x[:, 3:6]),
    "index_fill": lambda x, i, m: x.index_fill(1, torch.tensor(PLACES), -1),
    "index_put": lambda x, i, m: torch.zeros(6, 3).index_put((i - 6,), x.T),
    "votes": lambda x, i, m: torch.zeros(6, 3).index_put((i,), x.T, accumulate=True),
    "counts": lambda x, i, m: torch.zeros(6, dtype=torch.int64).index_add(0, i, torch.ones_like(i)),
    "constant columns": lambda x, i, m: assigned(x, (slice(None), torch.tensor(PLACES)), 0.0),
    "two indices": lambda x, i, m: assigned(x, (i % 3, i), x[0]),
    "lists": lambda x, i, m: assigned(x, ([0, 2], [1, 3]), x[1, :2]),
}
MASKS: dict[str, Function] = {
    "a number": lambda x, i, m: assigned(x, x > 0.5, 0.0),
    "a row": lambda x, i, m: assigned(x, m[:, 0], torch.arange(8.0)),
    "the same places": lambda x, i, m: assigned(x, m, (3 * x)[m]),
    "through a view": lambda x, i, m: loud(x),
    "masked_scatter": lambda x, i, m: x.masked_scatter(m, 2 * x),
    "masked_scatter of rows": lambda x, i, m: x.masked_scatter(m[:, :1], 2 * x),
}
FAMILIES = {
    select_by_topk: SORTS,
    scatter_by_comparison: SCATTERS,
    assign_by_where: MASKS,
}


class Of(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, i: Tensor, m: Tensor) -> Any:
        return self.function(x, i, m)


def inputs(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    return torch.randn(3, 8), torch.randint(0, 6, (8,)), torch.rand(3, 8) > 0.5


def all_of(functions: Mapping[str, Function]) -> Function:
    """One network of many: its capture costs as much as that of one."""
    return lambda x, i, m: {name: function(x, i, m) for name, function in functions.items()}


def exported(function: Function) -> GraphModule:
    program = torch.export.export(Of(function), inputs(0))
    module: Any = without_writing_in_place(program).module()
    return module  # type: ignore[no-any-return]


def assert_holds(module: GraphModule, function: Function) -> None:
    module.graph.lint()
    module.recompile()
    for seed in range(3):
        torch.testing.assert_close(module(*inputs(seed)), function(*inputs(seed)))


@pytest.mark.parametrize("rewrite", FAMILIES)
def test_each_fires_once_and_the_numbers_hold(rewrite: Callable[[Any], Outcome]) -> None:
    functions = FAMILIES[rewrite]
    module = exported(all_of(functions))
    assert rewrite(module.graph).count == len(functions)
    assert rewrite(module.graph).count == 0
    assert_holds(module, all_of(functions))


REFUSED: dict[str, Function] = {
    "places are used": lambda x, i, m: torch.topk(x, 3),
    "a mean": lambda x, i, m: torch.zeros(3, 8).scatter_reduce(1, columns(i), x, "mean"),
    "a part of the rows": lambda x, i, m: x.scatter(1, i.expand(2, 8), x[:2]),
    "a scaled sum": lambda x, i, m: x.index_add(1, i, x, alpha=2),
    "indices apart": lambda x, i, m: assigned(
        x[..., None] * x[0], (i % 3, slice(None), i), torch.ones(8)
    ),
    "a mask and an index": lambda x, i, m: assigned(x, (m[:, 0], i[:1]), 1.0),
}


def test_what_has_no_such_form_stays_as_it_is() -> None:
    module = exported(all_of(REFUSED))
    assert [rewrite(module.graph).count for rewrite in FAMILIES] == [0, 0, 0]
    assert_holds(module, all_of(REFUSED))


def test_more_comparisons_than_are_worth_it_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyml.export.scatters.MOST", 47)
    kinds = ("votes", "sums, each its own")
    module = exported(all_of({kind: SCATTERS[kind] for kind in kinds}))
    assert scatter_by_comparison(module.graph).count == 0


@pytest.mark.slow
def test_a_detectors_head_becomes_one_graph_of_litert(tmp_path: Path) -> None:
    """The top of the top, votes, and an assignment under a mask."""
    names = ("top of the top", "votes", "a number")

    def head(x: Tensor, i: Tensor, m: Tensor) -> dict[str, Tensor]:
        best, votes, masked = ({**SORTS, **SCATTERS, **MASKS}[name](x, i, m) for name in names)
        return {"values": best.values, "places": best.indices, "votes": votes, "masked": masked}

    given = inputs(0)
    taken = ("float32", "int64", "bool")
    ins = [
        TensorSpec(n, tuple(v.shape), dtype=t) for n, v, t in zip("xim", given, taken, strict=True)
    ]
    want = head(*given)
    outs = [TensorSpec(n, tuple(v.shape), dtype=str(v.dtype)[6:]) for n, v in want.items()]
    captured = capture(Of(head).eval(), Signature(tuple(ins), tuple(outs)))
    shipped = ship(captured, "tflite", tmp_path)
    assert len(tflite_file.unpack(shipped.path.read_bytes()).subgraphs) == 1
    for seed in range(3):
        given = inputs(seed)
        got = shipped.outputs(
            {name: value.numpy() for name, value in zip("xim", given, strict=True)}
        )
        for name, value in head(*given).items():
            torch.testing.assert_close(torch.from_numpy(got[name]), value)
