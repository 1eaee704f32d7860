"""Both quantizers on files of networks that take more than layers: cuts, pools, attention."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from quantized_files import (
    LEAST_DB,
    graph_of,
    planned,
    quantized,
    runtime,
    write_floats,
    write_onnx,
)
from sparse_networks import SIDE, SIGNATURE, image
from torch import Tensor, nn

from tinyml.core.spec import Arrays, Signature, TensorSpec
from tinyml.core.tolerance import sqnr_db
from tinyml.export.capture.program import capture
from tinyml.export.formats.tflite import rewrites
from tinyml.export.formats.tflite import write as write_tflite
from tinyml.export.formats.tflite.write import to_tflite
from tinyml.export.quantization.infinity import COMPARED, MASKED
from tinyml.export.rewrites import rewrite
from tinyml.modelfile import tflite_file
from tinyml.runtimes.litert import LITERT

# ai-edge-quantizer opens a file like this itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")


class Cut(nn.Module):
    """A layer, and its values cut off or left out, as ``cut`` has it."""

    def __init__(self, cut: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 40, 1)
        self.cut = cut

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.cut(self.first(image)).mean((2, 3))


def _left_out(x: torch.Tensor) -> torch.Tensor:
    """All but one pixel."""
    return x.masked_fill(torch.arange(SIDE) != 3, 0.25)


@pytest.mark.parametrize("cut", [nn.Hardtanh(-0.5, 0.4), _left_out], ids=["clamp", "mask"])
def test_a_layer_in_front_of_a_cut_keeps_its_range(
    tmp_path: Path, cut: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """LiteRT's MAXIMUM and SELECT have one scale for their operands and their output."""
    model = tflite_file.unpack(
        to_tflite(rewrite(capture(Cut(cut).eval(), SIGNATURE, ("first",)))[0])
    )
    rewrites.rewrite(model, sparse=False)
    path = tmp_path / "n.tflite"
    path.write_bytes(tflite_file.pack(model))
    plan = planned(path, "w8a8-static")
    made = tflite_file.unpack(quantized(path, plan))
    graph = made.subgraphs[0]
    layer = next(
        graph.tensors[int(own.outputs[0])]
        for own in graph.operators
        if tflite_file.operator_name(made.operatorCodes[own.opcodeIndex]) == "CONV_2D"
    )
    wanted = plan.tensors[tflite_file.text(layer.name)]
    stored = layer.quantization
    low = (-128 - int(stored.zeroPoint[0])) * float(stored.scale[0])
    assert low == pytest.approx(wanted.low, abs=float(stored.scale[0]))
    assert wanted.low < -1.0


class Upsampled(nn.Module):
    """A transposed convolution in groups, each of several outputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 1)
        self.second = nn.ConvTranspose2d(8, 40, 2, stride=2, groups=4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(image)).mean((2, 3))


def test_an_average_in_ceil_mode_is_not_replaced_by_an_integer_one(tmp_path: Path) -> None:
    path = write_onnx(Cut(nn.AvgPool2d(3, 2, ceil_mode=True)).eval(), tmp_path)
    out = tmp_path / "q.onnx"
    out.write_bytes(quantized(path, planned(path, "w8a8-static")))
    want, got = (runtime(p).open(p).run({"image": image(3)})["logits"] for p in (path, out))
    noise = sqnr_db(got, want)
    assert noise is not None
    assert noise > LEAST_DB["w8a8-static"]


@pytest.mark.parametrize("precision", ["w8a8-static", "w8a16"])
def test_a_transposed_convolution_in_groups_is_quantized(tmp_path: Path, precision: str) -> None:
    path = write_onnx(Upsampled().eval(), tmp_path)
    out = tmp_path / "q.onnx"
    out.write_bytes(quantized(path, planned(path, precision)))
    want, got = (runtime(p).open(p).run({"image": image(3)})["logits"] for p in (path, out))
    noise = sqnr_db(got, want)
    assert noise is not None
    assert noise > LEAST_DB[precision]


class Pooled(nn.Module):
    """Negative values, and a pool whose padding never is the largest."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 40, 1)
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.pool(self.first(image) - 6.0).mean((2, 3))


class Mixed(nn.Module):
    """A constant matrix times what a layer gives, as a mel filterbank times a spectrum."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 40, 1)
        self.register_buffer("matrix", torch.rand(5, SIDE) + 0.5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.matmul(self.matrix, self.first(image)).mean((2, 3))


@pytest.mark.parametrize("precision", ["w8a8-static", "w8a16", "w8-dynamic"])
def test_a_constant_times_what_is_computed_is_quantized(tmp_path: Path, precision: str) -> None:
    """LiteRT answers zero where the constant has a scale for each column."""
    path, out = write_floats(Mixed().eval(), tmp_path)["tflite"], tmp_path / "q.tflite"
    out.write_bytes(quantized(path, planned(path, precision)))
    want, got = (runtime(p).open(p).run({"image": image(3)})["logits"] for p in (path, out))
    noise = sqnr_db(got, want)
    assert noise is not None
    assert noise > LEAST_DB[precision]


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_a_pool_with_padding_has_the_range_of_what_it_reads(
    pooled: dict[str, Path], tmp_path: Path, fmt: str
) -> None:
    """LiteRT pads with minus infinity, which is no end of a range."""
    out = tmp_path / f"q.{fmt}"
    out.write_bytes(quantized(pooled[fmt], planned(pooled[fmt], "w8a8-static")))
    want, got = (runtime(p).open(p).run({"image": image(3)})["logits"] for p in (pooled[fmt], out))
    noise = sqnr_db(got, want)
    assert noise is not None
    assert noise > LEAST_DB["w8a8-static"]


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_floats(Pooled().eval(), tmp_path_factory.mktemp("pooled"))


class Causal(nn.Module):
    """Attention in which no row looks at those below it, of numbers compared with infinity."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 40, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows = torch.nan_to_num(self.first(image)).mean(3).transpose(1, 2)[:, None]
        attended = nn.functional.scaled_dot_product_attention(rows, rows, rows, is_causal=True)
        return attended.mean((1, 2))


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_infinity_stays_in_float_and_its_network_is_quantized(
    causal: dict[str, Path], tmp_path: Path, fmt: str
) -> None:
    out, plan = tmp_path / f"q.{fmt}", planned(causal[fmt], "w8a8-static")
    out.write_bytes(quantized(causal[fmt], plan))
    assert fmt == "onnx" or {MASKED, COMPARED} <= set(plan.kept.values())
    want, got = (runtime(p).open(p).run({"image": image(3)})["logits"] for p in (causal[fmt], out))
    noise = sqnr_db(got, want)
    assert noise is not None
    assert noise > LEAST_DB["w8a8-static"]


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_floats(Causal().eval(), tmp_path_factory.mktemp("causal"))


class TwoEnds(nn.Module):
    """What the last operator reads is an output too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 8)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.layer(x)
        return {"y": y, "mean": y.mean(1)}


# torch 2.13 warns about its own use of LeafSpec
@pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
def test_the_last_operator_may_read_an_output(tmp_path: Path) -> None:
    specs = (TensorSpec("y", (1, 6, 8)), TensorSpec("mean", (1, 8)))
    captured = capture(TwoEnds().eval(), Signature((TensorSpec("x", (1, 6, 4)),), specs))
    path, out = tmp_path / "n.tflite", tmp_path / "q.tflite"
    write_tflite.write(captured, path)

    def given(seed: int) -> Arrays:
        return {"x": np.random.default_rng(seed).normal(size=(1, 6, 4)).astype(np.float32)}

    out.write_bytes(quantized(path, planned(path, "w8a8-static", given=given)))
    want, got = (LITERT.open(own).run(given(0)) for own in (path, out))
    assert graph_of(path).operators[-1].op == "MEAN"
    for name, value in want.items():
        assert sqnr_db(got[name], value) > 25.0, name
