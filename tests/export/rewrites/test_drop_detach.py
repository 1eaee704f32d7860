"""Constants that are detached in place: fires, twice is once, a file holds them."""

from __future__ import annotations

from pathlib import Path

import torch
from shipped import ship
from torch import Tensor, nn

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import capture
from tinyml.export.rewrites.drop_detach import drop_detach


class Chosen(nn.Module):
    """Places that its forward writes down."""

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(1, torch.tensor([3, 1, 2]))


def test_it_fires_once_and_a_file_computes_the_same(tmp_path: Path) -> None:
    module, x = Chosen().eval(), torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    specs = TensorSpec("x", (1, 4)), TensorSpec("y", (1, 3))
    captured = capture(module, Signature(specs[:1], specs[1:]))
    graph = captured.program.module().graph
    assert (drop_detach(graph).count, drop_detach(graph).count) == (1, 0)
    graph.lint()
    shipped = ship(captured, "tflite", tmp_path)
    assert shipped.facts.passes["drop_detach"] == 1
    (got,) = shipped.outputs({"x": x.numpy()}).values()
    torch.testing.assert_close(torch.from_numpy(got), module(x))
