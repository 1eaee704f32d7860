"""Bias correction in both formats: what rounding adds to a mean is seen, and taken away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from quantized_files import mean_square_error, planned, quantized, runtime, write_floats
from sparse_networks import image
from torch import Tensor, nn

from tinyml.core.spec import Array
from tinyml.export.formats.bias_editor import with_rounded_weights
from tinyml.export.formats.onnx import correct_biases as correct_biases_onnx
from tinyml.export.formats.tflite import correct_biases as correct_biases_tflite
from tinyml.export.quantization.plan import packed
from tinyml.export.quantization.weight_rounding import rounding_error
from tinyml.modelfile import tflite_file

# ai-edge-quantizer opens a file like this itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")
EDITORS: dict[str, Any] = {"onnx": correct_biases_onnx, "tflite": correct_biases_tflite}
FORMATS = pytest.mark.parametrize("fmt", EDITORS)
SCALES = pytest.mark.parametrize("scales", ["per-channel", "per-tensor"])
SHAPES = {
    "first": (16, 3, 3, 3),
    "filters": (16, 1, 3, 3),
    "mixed": (24, 16, 1, 1),
    "classes": (40, 24),
}


class Filters(nn.Module):
    """A strided entry far above zero, depthwise filters that spread 1 : 10, a mean, classes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, 2, 1)
        self.filters = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.mixed = nn.Conv2d(16, 24, 1)
        self.classes = nn.Linear(24, 40)
        with torch.no_grad():
            self.first.bias.fill_(2.0)
            spread = torch.logspace(0, 1, 16)
            self.filters.weight.mul_(spread[:, None, None, None])
            self.mixed.weight.div_(spread[None, :, None, None])

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.filters(torch.relu(self.first(image))))
        x = torch.relu(self.mixed(x))
        logits: Tensor = self.classes(x.mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def network() -> Filters:
    torch.manual_seed(0)
    return Filters().eval()


@pytest.fixture(scope="module")
def floats(network: Filters, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_floats(network, tmp_path_factory.mktemp("floats"))


def layers(fmt: str, path: Path, scales: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """(file with the errors beside the layers, their names by layer in the order run)."""
    data, beside = EDITORS[fmt].with_rounding_errors(path.read_bytes(), scales)
    out = folder / f"errors.{fmt}"
    out.write_bytes(data)
    return out, beside


def means(path: Path, fmt: str, names: list[str]) -> dict[str, Array]:
    """Tensor -> [channels] its mean on eight images."""
    read = runtime(path).reader(path, names)
    axis = EDITORS[fmt].CHANNEL_AXIS
    rows = [read({"image": image(seed)}) for seed in range(8)]
    return {
        name: np.concatenate(
            [np.moveaxis(row[name], axis, -1).reshape(-1, row[name].shape[axis]) for row in rows]
        ).mean(0, dtype=np.float64)
        for name in names
    }


def shifts_of(path: Path, fmt: str, scales: str, folder: Path) -> dict[str, Array]:
    """Layer -> [channels] E[(W_q - W) x]."""
    out, beside = layers(fmt, path, scales, folder)
    found = means(out, fmt, list(beside.values()))
    return {layer: found[name] for layer, name in beside.items()}


@SCALES
@FORMATS
def test_beside_each_layer_the_runtime_computes_what_rounding_its_weights_adds(
    network: Filters, floats: dict[str, Path], tmp_path: Path, fmt: str, scales: str
) -> None:
    """Zero padding, strides and groups included; the activation is left out."""
    out, beside = layers(fmt, floats[fmt], scales, tmp_path)
    assert len(beside) == 4
    got = runtime(out).read_tensors(out, list(beside.values()), {"image": image(3)})
    entry, filters, *_ = (got[name] for name in beside.values())
    error = {name: _torch_error(network, name, scales) for name in ("first", "filters")}
    with torch.no_grad():
        given = torch.from_numpy(image(3))
        inside = torch.relu(network.first(given))
        want = (
            F.conv2d(given, error["first"], stride=2, padding=1),
            F.conv2d(inside, error["filters"], padding=1, groups=16),
        )
    for mine, theirs in zip((entry, filters), want, strict=True):
        value = mine if fmt == "onnx" else mine.transpose(0, 3, 1, 2)
        assert np.abs(theirs.numpy()).max() > 1e-4
        np.testing.assert_allclose(value, theirs.numpy(), atol=2e-6)


def _torch_error(network: Filters, name: str, scales: str) -> Tensor:
    weight = network.get_parameter(f"{name}.weight").detach().numpy()
    return torch.from_numpy(rounding_error(weight, 0, scales))


@SCALES
@FORMATS
def test_weights_are_rounded_as_the_quantizers_do(
    network: Filters, floats: dict[str, Path], fmt: str, scales: str
) -> None:
    plan = replace(planned(floats[fmt], "w8a8-static"), weight_scales=scales)
    stored = [*_stored_weights(fmt, quantized(floats[fmt], plan))]
    assert len(stored) == len(SHAPES)
    for name, shape in SHAPES.items():
        weight = network.get_parameter(f"{name}.weight").detach().numpy()
        want = weight + rounding_error(weight, 0, scales)
        same = [own for own in stored if own.shape == shape]
        step = np.abs(weight).max() / 127
        assert len(same) == 1
        np.testing.assert_allclose(same[0], want, atol=1e-4 * step)


def _stored_weights(fmt: str, data: bytes) -> list[Array]:
    """What the integers of each weight stand for, with PyTorch's axes."""
    if fmt == "onnx":
        model = onnx.load_from_string(data)
        known = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        names = [name for name, own in known.items() if own.dtype == np.int8 and own.ndim > 1]
        scales = [known[f"{name.removesuffix('_quantized')}_scale"] for name in names]
        return [_real(known[name], scale, 0) for name, scale in zip(names, scales, strict=True)]
    model = tflite_file.unpack(data)
    graph, found = model.subgraphs[0], []
    for operator in graph.operators:
        op = tflite_file.operator_name(model.operatorCodes[operator.opcodeIndex])
        if op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            tensor = graph.tensors[int(operator.inputs[1])]
            own = tflite_file.array(model, tensor, np.int8)
            axis = 3 if op == "DEPTHWISE_CONV_2D" else 0
            real = _real(own, np.asarray(tensor.quantization.scale), axis)
            order = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2)}.get(op, (0, 1))
            found.append(real.transpose(order))
    return found


def _real(integers: Array, scale: Array, axis: int) -> Array:
    along = [1] * integers.ndim
    along[axis] = -1
    return integers.astype(np.float32) * scale.reshape(along)


@SCALES
@FORMATS
def test_with_corrected_biases_the_means_are_those_of_float32(
    floats: dict[str, Path], tmp_path: Path, fmt: str, scales: str
) -> None:
    """Of what the first layer gives exactly: what it reads is not rounded."""
    path = floats[fmt]
    shifts = shifts_of(path, fmt, scales, tmp_path)
    first, shift = next(iter(shifts.items()))
    assert np.abs(shift).max() > 1e-5
    off = {}
    for corrected in (False, True):
        data = with_rounded_weights(
            EDITORS[fmt], path.read_bytes(), scales, {first: shift}, corrected=corrected
        )
        out = tmp_path / f"rounded.{fmt}"
        out.write_bytes(_without_activation(fmt, data))
        before = tmp_path / f"before.{fmt}"
        before.write_bytes(_without_activation(fmt, path.read_bytes()))
        moved = means(out, fmt, [first])[first] - means(before, fmt, [first])[first]
        off[corrected] = np.abs(moved).max()
    assert off[False] > 1e-4
    assert off[True] < 0.01 * off[False]


def _without_activation(fmt: str, data: bytes) -> bytes:
    """TFLite computes it in the layer itself, and it bends means."""
    if fmt == "onnx":
        return data
    model = tflite_file.unpack(data)
    for operator in model.subgraphs[0].operators:
        if hasattr(operator.builtinOptions, "fusedActivationFunction"):
            operator.builtinOptions.fusedActivationFunction = 0
    return tflite_file.pack(model)


@FORMATS
def test_integers_with_corrected_biases_err_less_and_repeat_byte_for_byte(
    floats: dict[str, Path], tmp_path: Path, fmt: str
) -> None:
    path = floats[fmt]
    shifts = shifts_of(path, fmt, "per-tensor", tmp_path)
    plan = replace(planned(path, "w8a8-static"), weight_scales="per-tensor")
    corrected = replace(plan, bias_shifts={name: packed(own) for name, own in shifts.items()})
    assert corrected.passes == {"correct_biases": 4}
    powers = []
    for own in (plan, corrected):
        out = tmp_path / f"q.{fmt}"
        out.write_bytes(quantized(path, own))
        assert quantized(path, own) == out.read_bytes()
        powers.append(mean_square_error(path, out))
    assert powers[1] < 0.5 * powers[0]


@FORMATS
def test_a_layer_that_stays_in_float_keeps_its_bias(
    floats: dict[str, Path], tmp_path: Path, fmt: str
) -> None:
    path = floats[fmt]
    shifts = shifts_of(path, fmt, "per-channel", tmp_path)
    *_, last = shifts
    plan = planned(path, "w8a8-static", {last: "asked for"})
    corrected = replace(plan, bias_shifts={last: packed(shifts[last])})
    assert corrected.passes == {}
    assert quantized(path, corrected) == quantized(path, plan)


@FORMATS
def test_only_the_layers_named_are_corrected_and_no_old_bias_stays(
    floats: dict[str, Path], fmt: str
) -> None:
    data = floats[fmt].read_bytes()
    names = [*EDITORS[fmt].with_rounding_errors(data, "per-channel")[1]]
    model = tflite_file.unpack(data) if fmt == "tflite" else onnx.load_from_string(data)
    assert EDITORS[fmt].correct_biases(model, {}) == 0
    assert EDITORS[fmt].correct_biases(model, {names[2]: np.ones(24)}) == 1
    if fmt == "onnx":
        read = {name for node in model.graph.node for name in node.input}
        assert {tensor.name for tensor in model.graph.initializer} <= read
        return
    assert len(model.subgraphs[0].tensors) == len(tflite_file.unpack(data).subgraphs[0].tensors)
    assert abs(len(tflite_file.pack(model)) - len(data)) < 24 * 4 + 64


SHARED = """
<ir_version: 10, opset_import: ["" : 18]>
agraph (float[1, 2, 4, 4] x, float[2, 2, 1, 1] given) => (float[1, 2, 4, 4] y)
<float[2, 2, 1, 1] w = {1.0, 0.3, 0.2, 0.7}, float[2] b = {1.0, 2.0}>
{
    first = Conv(x, w, b)
    second = Conv(first, w, b)
    y = Conv(second, given)
}
"""


def test_a_bias_that_two_layers_share_changes_for_one_alone() -> None:
    model = onnx.parser.parse_model(SHARED)
    assert correct_biases_onnx.correct_biases(model, {"first": np.array([0.5, 0.25])}) == 1
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    first, second, _ = model.graph.node
    np.testing.assert_array_equal(stored[first.input[2]], np.float32([0.5, 1.75]))
    np.testing.assert_array_equal(stored[second.input[2]], np.float32([1.0, 2.0]))


def test_a_computed_weight_has_no_rounding_error_of_its_own() -> None:
    data = onnx.parser.parse_model(SHARED).SerializeToString()
    assert [*correct_biases_onnx.with_rounding_errors(data, "per-tensor")[1]] == ["first", "second"]


@pytest.mark.parametrize("more", ["alpha = 2.0", "beta = 0.5", "transA = 1"])
def test_a_matrix_product_that_does_more_than_add_is_left_alone(more: str) -> None:
    text = f"""
    <ir_version: 10, opset_import: ["" : 18]>
    agraph (float[2, 2] x) => (float[2, 2] y)
    <float[2, 2] w = {{1.0, 0.3, 0.2, 0.7}}, float[2] b = {{1.0, 2.0}}>
    {{ y = Gemm<{more}>(x, w, b) }}
    """
    model = onnx.parser.parse_model(text)
    assert correct_biases_onnx.correct_biases(model, {"y": np.ones(2)}) == 0


def test_a_computed_bias_of_tflite_is_left_alone(floats: dict[str, Path]) -> None:
    model = tflite_file.unpack(floats["tflite"].read_bytes())
    graph = model.subgraphs[0]
    name = tflite_file.text(graph.tensors[int(graph.operators[-1].outputs[0])].name)
    last, computed = graph.operators[-1], int(graph.operators[-2].outputs[0])
    last.inputs = np.array([*last.inputs[:2], computed], np.int32)
    assert correct_biases_tflite.correct_biases(model, {name: np.ones(40)}) == 0


def test_a_channel_of_zeros_is_rounded_without_error() -> None:
    weight = np.zeros((2, 3), np.float32)
    weight[1] = [1.0, -0.5, 0.3]
    error = rounding_error(weight, 0, "per-channel")
    np.testing.assert_array_equal(error[0], 0.0)
    assert 0 < np.abs(error[1]).max() <= 0.5 / 127
