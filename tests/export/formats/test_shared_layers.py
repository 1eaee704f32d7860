"""Layers that are called twice on inputs of different scale: both formats load and are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from quantized_files import graph_of, planned, quantized, runtime, write_floats
from sparse_networks import image
from torch import Tensor, nn

from tinyml.core.tolerance import sqnr_db
from tinyml.export.formats.onnx.own_weights import own_weights, share_integers
from tinyml.modelfile.summary import summarize

# ai-edge-quantizer opens a file like this itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")


class Siamese(nn.Module):
    """A convolution and a linear layer, each on an image and on a hundredth of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Linear(8, 40)

    def forward(self, image: Tensor) -> Tensor:
        near, far = self.part(100 * image), self.part(image)
        logits: Tensor = near + 10 * far
        return logits

    def part(self, x: Tensor) -> Tensor:
        part: Tensor = self.head(torch.relu(self.first(x)).mean((2, 3)))
        return part


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    return write_floats(Siamese().eval(), tmp_path_factory.mktemp("siamese"))


@pytest.mark.parametrize("precision", ["w8a8-static", "w8a16", "w8-dynamic", "w8"])
@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_a_layer_that_is_called_twice_is_loaded_and_nearly_right(
    floats: dict[str, Path], tmp_path: Path, fmt: str, precision: str
) -> None:
    out = tmp_path / f"q.{fmt}"
    out.write_bytes(quantized(floats[fmt], planned(floats[fmt], precision)))
    want, got = (
        runtime(path).open(path).run({"image": image(100)})["logits"] for path in (floats[fmt], out)
    )
    noise = sqnr_db(got, want)
    assert noise is not None
    assert noise > 25.0


def test_each_quantized_call_has_its_weight_and_kept_ones_share(floats: dict[str, Path]) -> None:
    model = onnx.load(floats["onnx"])
    calls = [op.name for op in graph_of(floats["onnx"]).operators if op.weight]
    assert own_weights(onnx.load(floats["onnx"]), calls) == {}
    assert len(own_weights(model, calls[:1])) == 1
    assert len(own_weights(model, ())) == 1
    assert own_weights(model, ()) == {}
    read = [node.input[1] for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(set(read)) == 4
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    kernels = [stored[name] for name in read if stored[name].ndim == 4]
    np.testing.assert_array_equal(*kernels)


@pytest.mark.parametrize("precision", ["w8a8-static", "w8a16", "w8-dynamic"])
def test_the_integers_of_a_shared_weight_are_stored_once(
    floats: dict[str, Path], tmp_path: Path, precision: str
) -> None:
    """Those of the small convolution are smaller than what would share them."""
    path = floats["onnx"]
    model = onnx.load_from_string(quantized(path, planned(path, precision)))
    stored = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert [tuple(t.dims) for t in stored if len(t.dims) == 2] in ([(40, 8)], [(8, 40)])
    assert len([t for t in stored if len(t.dims) == 4]) == 2
    onnx.save(model, tmp_path / "q.onnx")
    found = summarize(tmp_path / "q.onnx")
    assert found.macs == summarize(path).macs
    assert share_integers(model, {"a": "b"}) == 0


def test_integers_that_differ_are_not_shared() -> None:
    def initializer(name: str, value: int) -> onnx.TensorProto:
        return onnx.numpy_helper.from_array(np.full((16, 16), value, np.int8), f"{name}_quantized")

    model = onnx.ModelProto()
    model.graph.initializer.extend([initializer("w", 1), initializer("a", 1), initializer("b", 2)])
    assert share_integers(model, {"a": "w", "b": "w"}) == 1
    assert [node.output[0] for node in model.graph.node] == ["a_quantized"]
