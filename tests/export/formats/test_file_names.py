"""Names in a file: of constants, and such as mean something else elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from shipped import FORMATS, ship
from small_networks import noise
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import capture
from tinyml.export.capture.stage_values import eager_values
from tinyml.export.formats.instrumented import add_outputs
from tinyml.export.rewrites import rewrite

WEIGHT = "net.parametrizations.weight.0"
# Stages and outputs: with names of PyTorch's nodes, of a weight, and of no identifier.
STAGES = (WEIGHT, "net", "parts.a@b/c", "parts.file")
OUTPUTS = {
    "linear": (1, 3),
    "tanh": (1, 3),
    "mul": (1, 3),
    "net.bias": (1, 3),
    "a;;b.c/d": (1, 3),
    "n" * 200: (1, 3),
    "anchors": (3, 2),
    "stride": (),
}
SIGNATURE = Signature(
    (TensorSpec("x", (1, 4)),),
    tuple(TensorSpec(name, shape) for name, shape in OUTPUTS.items()),
)


class Anchors(nn.Module):
    """A head that gives out what never changes too; one stage is folded to a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.net = parametrizations.weight_norm(nn.Linear(4, 3))
        self.parts = nn.ModuleDict({"a@b/c": nn.Tanh(), "file": nn.Sigmoid()})
        self.register_buffer("anchors", torch.arange(6.0).view(3, 2))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.net(x)
        for part in self.parts.values():
            x = part(x)
        changing = [torch.softmax(x * 2.0, -1), x * 2.0, -x, x + 1.0, x - 1.0, x / 3.0]
        return dict(zip(OUTPUTS, [*changing, self.anchors, torch.tensor(8.0)], strict=True))


@pytest.mark.parametrize("fmt", FORMATS)
def test_outputs_and_stages_keep_their_names_and_values(fmt: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Anchors().eval()
    captured = add_outputs(rewrite(capture(module, SIGNATURE, STAGES))[0], [WEIGHT])
    inputs = {"x": noise(1, 4)}
    shipped = ship(captured, fmt, tmp_path)
    inside, wanted = eager_values(module, inputs, SIGNATURE, STAGES)
    found = shipped.outputs(inputs)
    assert list(found) == [*OUTPUTS, WEIGHT]
    stages = shipped.stages(inputs)
    assert [name for name, value in stages.items() if value is None] == [WEIGHT]
    for name, value in (wanted | inside).items():
        got = stages[name] if name in STAGES[1:] else found[name]
        np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-6)


class Products(nn.Module):
    """Products with a bias, each in front of a layer whose bias can take it in."""

    def __init__(self) -> None:
        super().__init__()
        parts = {"bilinear": Squares(), "addmm": Addmm(), "shift": Shift(), "spread": Spread()}
        self.parts = nn.ModuleDict(parts)
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in self.parts])

    def forward(self, x: Tensor) -> Tensor:
        for part, layer in zip(self.parts.values(), self.layers, strict=True):
            x = layer(part(x))
        return x


class Squares(nn.Bilinear):
    def __init__(self) -> None:
        super().__init__(6, 6, 6)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, x)


class Addmm(nn.Linear):
    def __init__(self) -> None:
        super().__init__(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)


class Spread(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.var(torch.stack([x, 2 * x, x * x]), 0)


class Shift(nn.Linear):
    def __init__(self) -> None:
        super().__init__(6, 6, bias=False)
        self.own = nn.Parameter(torch.arange(6.0))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.own


def test_a_stage_whose_bias_the_next_layer_took_in_is_fused_away(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, stages = (
        Products().eval(),
        tuple(f"parts.{n}" for n in ("bilinear", "addmm", "shift", "spread")),
    )
    specs = TensorSpec("x", (1, 6)), TensorSpec("y", (1, 6))
    signature = Signature(specs[:1], specs[1:])
    shipped = ship(rewrite(capture(module, signature, stages))[0], "tflite", tmp_path)
    inputs = {"x": noise(1, 6)}
    wanted, _ = eager_values(module, inputs, signature, stages)
    for stage, got in shipped.stages(inputs).items():
        if got is not None:
            np.testing.assert_allclose(got, wanted[stage], rtol=1e-4, atol=1e-5)
