"""The stages of a network that nobody described."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.blocks import blocks
from tinyml.export.capture.program import capture
from tinyml.export.capture.stage_values import captured_values, eager_values
from tinyml.export.parity import compare

X = {"x": np.random.default_rng(0).standard_normal((1, 4)).astype(np.float32)}
SIGNATURE = Signature((TensorSpec("x", (1, 4)),), (TensorSpec("y", (1, 4)),))


class Deep(nn.Module):
    """Four levels, a list among them, a block that is called twice, and what is no block."""

    def __init__(self) -> None:
        super().__init__()
        inner = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.ReLU(inplace=True))
        self.layers = nn.ModuleList([nn.Sequential(inner, nn.Identity()), nn.Linear(4, 4)])
        self.drop, self.state = nn.Dropout(0.5), nn.GRU(4, 4, batch_first=True)
        self.never = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        x, _ = self.state(self.drop(self.layers[1](x)).unsqueeze(1))
        return x.squeeze(1)


class TwoNames(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = self.first
        self.last = nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(self.second(x)))


def test_blocks_are_found_in_calling_order_each_call_apart() -> None:
    assert blocks(Deep().eval(), X) == (
        "layers.0.0.0",
        "layers.0.0.1",
        "layers.0.0",
        "layers.0",
        "layers.1",
        "layers.1#2",
    )


def test_depth_counts_what_is_called() -> None:
    assert blocks(Deep().eval(), X, depth=1) == ("layers.0", "layers.1", "layers.1#2")
    assert "layers.0.0.0.1" in blocks(Deep().eval(), X, depth=4)


def test_every_block_is_a_stage_that_capture_knows() -> None:
    for module in (Deep().eval(), TwoNames().eval()):
        stages = blocks(module, X)
        captured = capture(module, SIGNATURE, stages)
        want, _ = eager_values(module, X, SIGNATURE, stages)
        rows = compare("captured", "x", want, captured_values(captured, X)[0], stages)
        assert [row.verdict for row in rows] == ["pass"] * len(stages)


def test_a_module_with_two_names_is_no_block() -> None:
    assert blocks(TwoNames().eval(), X) == ("last",)
