"""int8 weights alone, in both formats: the same integers, float32 around them, zeros that stay."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from quantized_files import graph_of, quantized, runtime, write_floats
from sparse_networks import INT8, answers, image, pointwise
from torch import Tensor, nn

from tinyml.core.plan_record import NO_RANGES
from tinyml.core.spec import Array
from tinyml.core.tolerance import POLICIES
from tinyml.export.formats.onnx.weights_to_int8 import weights_to_int8
from tinyml.export.formats.tflite import quantize as quantize_tflite
from tinyml.export.formats.tflite import rewrites
from tinyml.export.quantization.plan import QuantPlan, plan_weights
from tinyml.modelfile import sparse_storage, tflite_file
from tinyml.modelfile.ops import traits_of
from tinyml.modelfile.read import read_graph
from tinyml.modelfile.summary import summarize
from tinyml.runtimes.ort import ONNXRUNTIME

# ai-edge-quantizer opens a file like this itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")


class Many(nn.Module):
    """Every kind of operator that multiplies by a weight."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.transposed = nn.ConvTranspose2d(8, 6, 2, 2)
        self.grouped = nn.Conv2d(6, 4, 1, groups=2)
        self.series = nn.Conv1d(4, 4, 3, padding=1)
        self.matrix = nn.Parameter(torch.randn(4, 7))
        self.last = nn.Linear(7, 40)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.transposed(self.depthwise(torch.relu(self.first(image)))))
        x = self.series(self.grouped(x).flatten(2)).transpose(1, 2)
        logits: Tensor = self.last((x @ self.matrix).mean(1))
        return logits


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_floats(Many().eval(), tmp_path_factory.mktemp("many"))


def planned(path: Path, kept: dict[str, str] | None = None) -> QuantPlan:
    """Every weight of the file but those of ``kept``."""
    graph, kept = graph_of(path), kept or {}
    tensors = plan_weights(graph.operators, kept)
    return QuantPlan("w8", path.suffix[1:], NO_RANGES, 0, "none", tensors, kept)


def written(path: Path, plan: QuantPlan, out: Path) -> Path:
    """The file that the plan makes, in the folder ``out``."""
    made = out / f"q{path.suffix}"
    made.write_bytes(quantized(path, plan))
    return made


def stored_weights(path: Path) -> list[Array]:
    """The int8 tensors of a file."""
    values = (
        value.constant for value in read_graph(path).tensors.values() if value.dtype == "int8"
    )
    return [np.asarray(constant()) for constant in values if constant is not None]


def run(path: Path, seed: int = 3) -> Array:
    got: Array = runtime(path).open(path).run({"image": image(seed)})["logits"]
    return got


def with_rounded_weights(network: nn.Module) -> nn.Module:
    """The float network with each weight moved to where 255 steps of its channel put it."""
    rounded = copy.deepcopy(network)
    for module in rounded.modules():
        weight = getattr(module, "weight", None)
        if weight is None:
            continue
        out = 1 if isinstance(module, nn.ConvTranspose2d) else 0
        others = [axis for axis in range(weight.ndim) if axis != out]
        step = weight.detach().abs().amax(others, keepdim=True) / 127
        weight.data = torch.round(weight.data / step) * step
    matrix = getattr(rounded, "matrix", None)
    if matrix is not None:
        step = matrix.detach().abs().amax(0, keepdim=True) / 127
        matrix.data = torch.round(matrix.data / step) * step
    return rounded


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_answers_are_those_of_rounded_weights_and_nothing_else(
    many: dict[str, Path], tmp_path: Path, fmt: str
) -> None:
    out = written(many[fmt], planned(many[fmt]), tmp_path)
    with torch.no_grad():
        want = with_rounded_weights(Many().eval())(torch.from_numpy(image(3))).numpy()
    got, before = run(out), run(many[fmt])
    assert POLICIES["engine"].accepts(got, want)
    assert not POLICIES["engine"].accepts(got, before)
    assert POLICIES["w8"].accepts(got, before)


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_the_weights_of_every_layer_are_stored_in_eight_bits(
    many: dict[str, Path], tmp_path: Path, fmt: str
) -> None:
    plan = planned(many[fmt])
    out = written(many[fmt], plan, tmp_path)
    sizes = sorted(weight.size for weight in stored_weights(out))
    network = Many()
    assert sizes == sorted(p.numel() for p in network.parameters() if p.ndim > 1)
    assert len(sizes) == sum(own.scheme == "int8" for own in plan.tensors.values())
    facts = summarize(out)
    assert {layer.weight for layer in facts.layers if layer.macs} == {"int8"}
    assert {layer.activation for layer in facts.layers if layer.macs} == {"float32"}


def test_both_formats_hold_the_same_integers(tmp_path: Path) -> None:
    """`Many`'s weights lie along other axes in each; these differ by a transposition alone."""
    floats = write_floats(pointwise(kept=0.3), tmp_path)
    onnx_file, tflite = (
        stored_weights(written(path, planned(path), tmp_path)) for path in floats.values()
    )
    in_order = [w.transpose(0, 2, 3, 1) if w.ndim == 4 else w for w in onnx_file]
    key = lambda weight: (weight.shape, weight.tobytes())  # noqa: E731
    for one, other in zip(sorted(in_order, key=key), sorted(tflite, key=key), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("scales", "version"), [("per-channel", 5), ("per-tensor", 2)])
def test_scales_are_as_many_as_asked_for_and_the_operator_tells_its_version(
    many: dict[str, Path], tmp_path: Path, scales: str, version: int
) -> None:
    path = many["tflite"]
    data = quantized(path, replace(planned(path), weight_scales=scales))
    model = tflite_file.unpack(data)
    tensors = [t for t in model.subgraphs[0].tensors if t.type == INT8]
    counts = {len(tensor.quantization.scale) for tensor in tensors}
    assert (counts == {1}) == (scales == "per-tensor")
    codes = {tflite_file.operator_name(own): own.version for own in model.operatorCodes}
    assert codes["DEQUANTIZE"] == version
    path = many["onnx"]
    made = onnx.load_from_string(quantized(path, replace(planned(path), weight_scales=scales)))
    dims = [list(t.dims) for t in made.graph.initializer if t.name.endswith("_scale")]
    assert all((own == []) == (scales == "per-tensor") for own in dims)
    assert all(np.prod(own) == max(own, default=1) for own in dims)
    assert len(dims) == 7
    for fmt, own in many.items():
        out = written(own, replace(planned(own), weight_scales=scales), tmp_path)
        assert POLICIES["w8"].accepts(run(out), run(many[fmt]))


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_what_is_kept_stays_in_float(many: dict[str, Path], tmp_path: Path, fmt: str) -> None:
    path = many[fmt]
    every = stored_weights(written(path, planned(path), tmp_path))
    last = graph_of(path).operators[-1]
    out = written(path, planned(path, {last.name: "asked for"}), tmp_path)
    assert len(stored_weights(out)) == len(every) - 1
    after = graph_of(out).operators[-1]
    assert after.name == last.name
    assert after.weight
    assert after.weight.startswith(last.weight)


def test_zeros_stay_and_every_matrix_is_stored_sparse_with_the_same_answers(
    tmp_path: Path,
) -> None:
    network = pointwise(kept=0.1)
    path = write_floats(network, tmp_path)["tflite"]
    plan = planned(path)
    dense = quantize_tflite.quantize(tflite_file.unpack(path.read_bytes()), plan)
    rewrites.rewrite(dense, sparse=False)
    data = quantized(path, plan)
    made = tflite_file.unpack(data)
    found = list(sparse_storage.sparse_tensors(made))
    assert len(found) == 3
    for tensor, layer in zip(found, ("classes", "second", "first"), strict=True):
        weight = network.get_parameter(f"{layer}.weight").detach().numpy()
        weight = weight.transpose(0, 2, 3, 1) if weight.ndim == 4 else weight
        stored = sparse_storage.dense(path, made, tensor)
        assert stored.dtype == np.int8
        assert np.all(stored[weight == 0] == 0)
        assert np.count_nonzero(stored) > 0.9 * np.count_nonzero(weight)
    before, after = answers(tflite_file.pack(dense)), answers(data)
    np.testing.assert_array_equal(after.plain, before.plain)
    np.testing.assert_array_equal(after.delegated, before.delegated)
    assert POLICIES["engine"].accepts(after.delegated, after.plain)
    assert len(data) < 0.6 * len(tflite_file.pack(dense))


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_a_channel_without_weights_is_zero_and_keeps_its_bias(tmp_path: Path, fmt: str) -> None:
    network = pointwise(kept=0.5)
    with torch.no_grad():
        network.get_parameter("classes.weight")[5] = 0.0
        network.get_parameter("classes.bias")[5] = 1.5
    path = write_floats(network, tmp_path)[fmt]
    assert run(written(path, planned(path), tmp_path))[0, 5] == 1.5


def product(text: str, **weights: Array) -> Any:
    """``x`` [1, 4] to ``y`` [1, 4] in ONNX's text, and its stored weights."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]>\n'
        f"m (float[1, 4] x) => (float[1, 4] y) {{ {text} }}"
    )
    made = (onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    model.graph.initializer.extend(made)
    return model


MATRIX = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)


def steps(weight: Array, axis: int) -> Array:
    return np.abs(weight).max(axis=1 - axis, keepdims=True) / 127


def test_a_weight_that_is_read_along_two_axes_has_scales_for_each(tmp_path: Path) -> None:
    model = product("a = MatMul(x, w) y = Gemm<transB = 1>(a, w)", w=MATRIX)
    assert weights_to_int8(model, ()) == 2
    onnx.checker.check_model(model, full_check=True)
    assert {t.name for t in model.graph.initializer} == {
        *("w_quantized", "w_scale", "w_1_quantized", "w_1_scale")
    }
    x = np.ones((1, 4), np.float32)
    by_column, by_row = (np.rint(MATRIX / (s := steps(MATRIX, a))) * s for a in (1, 0))
    onnx.save(model, tmp_path / "q.onnx")
    got = ONNXRUNTIME.open(tmp_path / "q.onnx").run({"x": x})["y"]
    assert POLICIES["engine"].accepts(got, x @ by_column @ by_row.T)


def test_a_weight_that_a_kept_operator_reads_too_is_stored_in_both_forms() -> None:
    model = product("a = MatMul(x, w) b = MatMul(a, w) y = Add(b, w1)", w=MATRIX, w1=MATRIX[:1])
    assert weights_to_int8(model, {"b"}) == 1
    onnx.checker.check_model(model, full_check=True)
    reads = {node.output[0]: list(node.input) for node in model.graph.node}
    assert reads["a"][1] == "w_floats"
    assert reads["b"][1] == "w"
    assert {t.name for t in model.graph.initializer} == {"w", "w1", "w_quantized", "w_scale"}


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("y = MatMul(x, w)", {"w": MATRIX.astype(np.float64)}),
        ("w = Add(v, v) y = MatMul(x, w)", {"v": MATRIX}),
        ("a = MatMul(x, w) y = Add(x, a)", {"w": MATRIX[0]}),
        ("y = Mul(x, w)", {"w": MATRIX[:1]}),
    ],
    ids=["float64", "computed", "vector", "no product"],
)
def test_what_is_no_stored_float32_matrix_is_left_alone(text: str, weights: Any) -> None:
    if "float64" in str(weights["w" if "w" in weights else "v"].dtype):
        text = "z = Cast<to = 11>(x) b = MatMul(z, w) y = Cast<to = 1>(b)"
    model = product(text, **weights)
    before = model.SerializeToString(deterministic=True)
    assert weights_to_int8(model, ()) == 0
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize(
    "text",
    ["y = MatMul(x, w)", "y = Gemm(x, w)", "y = Gemm<transB = 1>(x, w)", "y = MatMul(x, v)"],
)
def test_onnxruntime_rounds_no_activation_when_it_optimises(
    text: str, per_channel: bool, tmp_path: Path
) -> None:
    """When this fails, it has learned to fuse integers and their scale."""
    x = np.random.default_rng(1).standard_normal((1, 4)).astype(np.float32)
    model = product(text, **({"v": MATRIX[None]} if "v" in text else {"w": MATRIX}))
    if "v" in text:
        model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 4
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    assert weights_to_int8(model, (), per_channel=per_channel) == 1
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "q.onnx")
    plain = ONNXRUNTIME.read_tensors(tmp_path / "q.onnx", ["y"], {"x": x})["y"]
    optimised = ONNXRUNTIME.open(tmp_path / "q.onnx").run({"x": x})["y"]
    assert POLICIES["rewrite"].accepts(optimised, plain)


def test_onnxruntime_folds_the_weights_when_it_loads_the_file(
    many: dict[str, Path], tmp_path: Path
) -> None:
    """Not at each call: what it keeps of the file is the float32 file's operators."""
    files = (many["onnx"], written(many["onnx"], planned(many["onnx"]), tmp_path))
    float_file, int8_file = (optimised(path, tmp_path) for path in files)
    assert int8_file == float_file
    assert not {"Cast", "Mul", "DequantizeLinear"} & set(int8_file)


def optimised(path: Path, folder: Path) -> list[str]:
    """The operators that onnxruntime makes of a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(folder / "optimised.onnx").graph
    return sorted(node.op_type for node in graph.node)


def test_twice_is_once() -> None:
    model = product("y = MatMul(x, w)", w=MATRIX)
    assert weights_to_int8(model, ()) == 1
    assert weights_to_int8(model, ()) == 0


@pytest.mark.parametrize(
    ("op", "rank", "axis"), [("Conv", 4, 0), ("ConvTranspose", 4, 1), ("MatMul", 3, 2)]
)
def test_scales_lie_along_the_output_channels(op: str, rank: int, axis: int) -> None:
    assert traits_of(op, {}, rank).outputs == axis


def test_onnxruntime_still_rounds_the_activations_of_a_plain_pair(tmp_path: Path) -> None:
    """When this fails, DequantizeLinear gives the same floats as Cast and Mul."""
    model = product("w = DequantizeLinear<axis = 1>(q, s) y = MatMul(x, w)")
    scale = steps(MATRIX, 1).reshape(-1)
    for array, name in ((np.rint(MATRIX / scale).astype(np.int8), "q"), (scale, "s")):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, tmp_path / "q.onnx")
    x = np.random.default_rng(1).standard_normal((1, 4)).astype(np.float32)
    plain = ONNXRUNTIME.read_tensors(tmp_path / "q.onnx", ["y"], {"x": x})["y"]
    optimised = ONNXRUNTIME.open(tmp_path / "q.onnx").run({"x": x})["y"]
    assert not POLICIES["engine"].accepts(optimised, plain)
