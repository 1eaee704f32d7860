"""Masks that are the same for every input: fires, refuses, twice is once, numbers hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from tinyml.export.capture.fixed_masks import choose_fixed_places
from tinyml.export.nodes import shape_of


class Masked(nn.Module):
    """Masks of a buffer, of the code, of the code and written to, of two axes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.tensor([True, False, True, False]))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        most = torch.tensor([False, True, True, True])
        most[1] = False
        return {
            "buffer": x[:, self.kept],
            "code": x[:, torch.arange(4) % 2 == 1],
            "written": x[:, most],
            "two axes": x[torch.eye(4).bool()],
            "next to an index": x[torch.tensor([3, 0]), self.kept],
        }


class ByValue(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[x > 0].sum()


def exported(module: nn.Module) -> ExportedProgram:
    return torch.export.export(module.eval(), (torch.zeros(4, 4),))


def test_a_fixed_mask_becomes_its_places_and_the_sizes_behind_are_known() -> None:
    module = Masked()
    program = choose_fixed_places(exported(module))
    read = [n for n in program.graph.nodes if n.target is torch.ops.aten.index.Tensor]
    assert [shape_of(node) for node in read] == [(4, 2), (4, 2), (4, 2), (4,), (2,)]
    assert choose_fixed_places(program) is program
    x = torch.arange(16.0).reshape(4, 4)
    torch.testing.assert_close(program.module()(x), module(x))


def test_a_mask_of_an_input_is_left() -> None:
    program = exported(ByValue())
    assert choose_fixed_places(program) is program
