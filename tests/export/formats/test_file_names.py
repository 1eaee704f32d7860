"""What a file calls its inputs, outputs and stages where some of them are constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from shipped import FORMATS, ship
from small_networks import noise
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tinyml.core.errors import InternalError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import capture
from tinyml.export.formats.check_names import check_names
from tinyml.export.formats.instrumented import add_outputs
from tinyml.export.rewrites import rewrite
from tinyml.modelfile.graph import Graph, Operator
from tinyml.modelfile.graph import Tensor as FileTensor

WEIGHT = "net.parametrizations.weight.0"
SIGNATURE = Signature(
    (TensorSpec("x", (1, 4)),),
    (TensorSpec("offsets", (1, 3)), TensorSpec("anchors", (3, 2)), TensorSpec("stride", ())),
)


class Anchors(nn.Module):
    """A head that gives out what never changes too; a stage that is folded to a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.net = parametrizations.weight_norm(nn.Linear(4, 3))
        self.register_buffer("anchors", torch.arange(6.0).view(3, 2))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"offsets": self.net(x), "anchors": self.anchors, "stride": torch.tensor(8.0)}


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_constant_that_is_an_output_has_its_name(fmt: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Anchors().eval()
    captured = add_outputs(rewrite(capture(module, SIGNATURE, (WEIGHT,)))[0], [WEIGHT])
    inputs = {"x": noise(1, 4)}
    found = ship(captured, fmt, tmp_path).outputs(inputs)
    with torch.no_grad():
        wanted = {**module(torch.from_numpy(inputs["x"])), WEIGHT: module.net.weight}
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


GRAPH = Graph(
    (Operator("y", "RELU", ("x",), ("y",)),),
    ("y",),
    ("x",),
    {name: FileTensor(name, (1,), "float32") for name in ("x", "y")},
    format="tflite",
)
OF_GRAPH = Signature((TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))


def test_a_file_with_the_names_that_were_asked_for_passes() -> None:
    check_names(GRAPH, OF_GRAPH, {"relu": "y", "gone": None})


@pytest.mark.parametrize(
    ("signature", "stages", "says"),
    [
        (Signature(OF_GRAPH.inputs, (TensorSpec("z", (1,)),)), {}, r"outputs \['y'\] instead of"),
        (Signature((TensorSpec("w", (1,)),), OF_GRAPH.outputs), {}, r"inputs \['x'\] instead of"),
        (OF_GRAPH, {"relu": "relu"}, "no 'relu', of stage 'relu'"),
    ],
    ids=["output", "input", "stage"],
)
def test_a_file_with_other_names_is_a_bug(
    signature: Signature, stages: dict[str, str | None], says: str
) -> None:
    with pytest.raises(InternalError, match=says):
        check_names(GRAPH, signature, stages)
