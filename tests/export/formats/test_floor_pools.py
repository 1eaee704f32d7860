"""Pools that round the number of windows up, where PyTorch drops the last one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest
import torch
from fires_in import named
from onnx.reference import ReferenceEvaluator
from shipped import ship
from small_networks import noise
from torch import Tensor, nn

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import capture
from tinyml.export.formats.onnx.rewrites import REWRITES
from tinyml.export.formats.onnx.rewrites.floor_pools import floor_pools
from tinyml.export.outcome import Outcome

WINDOW = "kernel_shape = [3, 3], strides = [3, 3], pads = [1, 1, 1, 1], ceil_mode = 1"


class Windows(nn.Module):
    """PyTorch drops a window along both axes; what follows needs the right size."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=3, padding=1, ceil_mode=True)
        self.logits = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(torch.flatten(self.pool(x), 1))


def pool(op: str, into: tuple[int, int], out: tuple[int, int], more: str = "") -> ir.Model:
    sizes = [f"float[1, 2, {height}, {width}]" for height, width in (into, out)]
    text = (
        f'<ir_version: 8, opset_import: ["" : 18]> graph ({sizes[0]} x) => ({sizes[1]} y) '
        f"{{ y = {op}<{WINDOW}{more}>(x) }}"
    )
    return ir.serde.deserialize_model(onnx.parser.parse_model(text))


def attributes(model: ir.Model) -> tuple[int, tuple[int, ...]]:
    own = model.graph.node(0).attributes
    return own.get_int("ceil_mode", 0), tuple(own.get_ints("pads", ()))


@pytest.mark.parametrize(
    ("op", "into", "out", "pads"),
    [
        ("MaxPool", (2, 8), (1, 3), (1, 1, 1, 1)),
        ("AveragePool", (2, 8), (1, 3), (1, 1, 1, 1)),
        ("MaxPool", (2, 9), (1, 4), (1, 1, 1, 2)),  # the last window of one axis hangs over
        ("AveragePool", (2, 9), (1, 4), (1, 1, 1, 2)),
    ],
)
def test_it_fires_once_and_the_numbers_hold(
    op: str, into: tuple[int, int], out: tuple[int, int], pads: tuple[int, ...]
) -> None:
    model = pool(op, into, out)
    assert floor_pools(model) == Outcome(1)
    assert attributes(model) == (0, pads)
    assert floor_pools(model) == Outcome(0)
    x = noise(1, 2, *into)
    found = ReferenceEvaluator(ir.to_proto(model)).run(None, {"x": x})
    kind = nn.MaxPool2d(3, 3, 1, ceil_mode=True)
    if op == "AveragePool":
        kind = nn.AvgPool2d(3, 3, 1, ceil_mode=True, count_include_pad=False)
    np.testing.assert_allclose(found[0], kind(torch.from_numpy(x)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (pool("MaxPool", (9, 9), (4, 4)), ""),
        (
            pool("AveragePool", (2, 9), (1, 4), ", count_include_pad = 1"),
            "it counts padding, and hangs over its end",
        ),
        (
            pool("MaxPool", (2, 9), (1, 5)),
            "its padding would be as wide as its window",
        ),
    ],
    ids=["no window is dropped", "counted padding", "wide padding"],
)
def test_it_refuses(model: ir.Model, why: str) -> None:
    assert floor_pools(model) == Outcome(0, {"y": why} if why else {})
    assert attributes(model)[0] == 1


def test_it_fires_in_a_network_that_the_runtime_could_not_load(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, shape = Windows().eval(), (1, 2, 2, 8)
    signature = Signature((TensorSpec("x", shape),), (TensorSpec("y", (1, 2)),))
    shipped = ship(capture(module, signature), "onnx", tmp_path)
    fired = {name for name in named(REWRITES, "dropped window") if shipped.facts.passes[name]}
    assert fired == {"floor_pools"}
    x = noise(*shape)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(shipped.outputs({"x": x})["y"], wanted, rtol=1e-5, atol=1e-6)
