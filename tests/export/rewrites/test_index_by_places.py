"""Masks that are constants: fires, refuses, twice is once, numbers hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from tinyml.export.rewrites.drop_detach import drop_detach
from tinyml.export.rewrites.index_by_places import index_by_places

# torch 2.13 warns about its own use of LeafSpec
pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
Function = Callable[[Tensor], Tensor]
FIRES: dict[str, Function] = {
    "of the last axis": lambda x: x[..., torch.tensor([True, False, True])],
    "of the first": lambda x: x[torch.tensor([False, True])],
}
KEPT: dict[str, Function] = {
    "computed": lambda x: x[:, x.sum((0, 2)) > 0].sum(),
    "of two axes": lambda x: x[torch.eye(2, 4) > 0],
    "indices": lambda x: x[:, torch.tensor([0, 2])],
}


class Of(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def exported(function: Function) -> GraphModule:
    module: GraphModule = torch.export.export(Of(function), (torch.ones(2, 4, 3),)).module()
    drop_detach(module.graph)
    return module


@pytest.mark.parametrize("function", FIRES.values(), ids=FIRES)
def test_it_fires_once_and_the_numbers_hold(function: Function) -> None:
    module = exported(function)
    assert (index_by_places(module.graph).count, index_by_places(module.graph).count) == (1, 0)
    module.graph.lint()
    module.recompile()
    assert not any("assert" in str(node.target) for node in module.graph.nodes)
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(module(x), function(x))


@pytest.mark.parametrize("function", KEPT.values(), ids=KEPT)
def test_it_leaves_what_is_no_constant_mask_of_one_axis(function: Function) -> None:
    assert index_by_places(exported(function).graph).count == 0
