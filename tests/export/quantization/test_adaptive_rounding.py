"""Adaptive rounding in both formats: what is weighed is what layers compute, and it gets less."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from quantized_files import mean_square_error, planned, quantized, runtime, write_floats
from sparse_networks import image
from torch import Tensor, nn

from tinyml.core.spec import Array
from tinyml.export.formats.onnx import correct_biases as correct_biases_onnx
from tinyml.export.formats.tflite import correct_biases as correct_biases_tflite
from tinyml.export.quantization.adaptive_rounding import Moments, adapted, lowered, patches
from tinyml.export.quantization.plan import packed
from tinyml.export.quantization.weight_rounding import load_adapted, rounded, save_adapted
from tinyml.modelfile import tflite_file

# ai-edge-quantizer opens a file like this itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")
EDITORS: dict[str, Any] = {"onnx": correct_biases_onnx, "tflite": correct_biases_tflite}
FORMATS = pytest.mark.parametrize("fmt", EDITORS)
SCALES = pytest.mark.parametrize("scales", ["per-channel", "per-tensor"])


def cost(rows: Array, integers: Array, scale: Array, covariance: Array) -> Array:
    """e C e^T of each output."""
    error = integers * scale - rows
    return np.einsum("goi,gij,goj->go", error, covariance, error)


def problem(seed: int, inputs: int) -> tuple[Array, Array, Array]:
    """(rows, scales, covariance) of two groups of three outputs, inputs that go together."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(2, 3, inputs))
    seen = rng.normal(size=(2, 50, inputs)) + 2 * rng.normal(size=(2, 50, 1))
    scale = np.abs(rows).max(axis=2, keepdims=True) / 127
    return rows, scale, seen.transpose(0, 2, 1) @ seen / 50


def test_no_single_weight_can_lower_what_is_left() -> None:
    rows, scale, covariance = problem(0, 12)
    nearest, found = np.rint(rows / scale), lowered(rows, scale, covariance)
    left, before = (cost(rows, own, scale, covariance) for own in (found, nearest))
    assert np.all(left <= before)
    assert left.sum() < 0.6 * before.sum()
    for place, step in itertools.product(range(12), (-1, 1)):
        other = found.copy()
        other[:, :, place] += step
        is_free = np.abs(nearest[:, :, place]) < 127
        assert np.all((cost(rows, other, scale, covariance) >= left - 1e-12)[is_free])


def test_inputs_that_do_not_go_together_leave_nearest_rounding() -> None:
    rows, scale, _ = problem(1, 8)
    alone = np.stack([np.diag(np.arange(1.0, 9.0))] * 2)
    np.testing.assert_array_equal(lowered(rows, scale, alone), np.rint(rows / scale))


def test_zeros_the_largest_weights_and_dead_inputs_stay() -> None:
    rows, scale, covariance = problem(2, 10)
    rows[:, :, ::3] = 0.0
    scale = np.abs(rows).max(axis=2, keepdims=True) / 127
    covariance[:, 4, :] = covariance[:, :, 4] = 0.0
    found, nearest = lowered(rows, scale, covariance), np.rint(rows / scale)
    assert np.all(found[rows == 0] == 0)
    assert np.array_equal(np.abs(found) == 127, np.abs(nearest) == 127)
    np.testing.assert_array_equal(found[:, :, 4], nearest[:, :, 4])
    assert not np.array_equal(found, nearest)


class Layers(nn.Module):
    """Strides, padding of both kinds, dilation, groups of one and of four, a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, 2, 1)
        self.filters = nn.Conv2d(16, 16, (3, 5), padding=(1, 2), groups=16, bias=False)
        self.wide = nn.Conv2d(16, 16, 3, padding=2, dilation=2)
        self.grouped = nn.Conv2d(16, 24, 1, groups=4)
        self.plain = nn.Conv2d(24, 12, 2, 2)
        self.classes = nn.Linear(12, 40)
        with torch.no_grad():
            self.first.bias.fill_(1.0)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.filters(torch.relu(self.first(image))))
        x = torch.relu(self.grouped(torch.relu(self.wide(x))))
        logits: Tensor = self.classes(torch.relu(self.plain(x)).mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    return write_floats(Layers().eval(), tmp_path_factory.mktemp("floats"))


def products_of(path: Path) -> list[Any]:
    """Every layer of a file."""
    return list(EDITORS[path.suffix[1:]].products(path.read_bytes()))


def biases_of(path: Path) -> dict[str, Array]:
    """Layer, by its output -> [channels]."""
    return {own.output: own.bias for own in _layers(path)}


def _layers(path: Path) -> Any:
    is_onnx = path.suffix == ".onnx"
    model: Any = onnx.load(path) if is_onnx else tflite_file.unpack(path.read_bytes())
    return EDITORS[path.suffix[1:]].bias_layers(model)


@FORMATS
def test_rows_times_patches_are_what_the_runtime_computes(
    floats: dict[str, Path], fmt: str
) -> None:
    path = floats[fmt]
    found, biases = products_of(path), biases_of(path)
    assert len(found) >= 6
    assert {own.groups for own in found} >= {1, 16}
    names = [name for own in found for name in (own.source, own.output)]
    got = runtime(path).reader(path, list(dict.fromkeys(names)))({"image": image(1)})
    for own in found:
        sums = own.rows.astype(np.float64) @ patches(got[own.source], own).transpose(0, 2, 1)
        want = np.moveaxis(got[own.output], own.channels, 0).reshape(
            sums.shape[0] * sums.shape[1], -1
        )
        value = sums.reshape(want.shape) + biases[own.output][:, None]
        if fmt == "tflite" and want.min() == 0:  # the activation is built in
            value = np.maximum(value, 0)
        np.testing.assert_allclose(value, want, atol=2e-5, err_msg=own.output)
        np.testing.assert_array_equal(own.restored(own.rows), own.weight)


def adapt(path: Path, scales: str) -> tuple[dict[str, Array], dict[str, Array]]:
    """(weights, shifts) by layer's output, on eight images."""
    found = [Moments(own) for own in products_of(path)]
    names = list(dict.fromkeys(own.product.source for own in found))
    read = runtime(path).reader(path, names)
    for seed in range(8):
        values = read({"image": image(seed)})
        for own in found:
            own.see(values[own.product.source])
    made = {own.product.output: adapted(own.product, own, scales) for own in found}
    return {n: own[0] for n, own in made.items()}, {n: own[1] for n, own in made.items()}


@SCALES
@FORMATS
def test_adapted_weights_lie_on_the_grid_that_the_quantizers_choose(
    floats: dict[str, Path], fmt: str, scales: str
) -> None:
    path = floats[fmt]
    weights, _ = adapt(path, scales)
    for own in products_of(path):
        axis = None if scales == "per-tensor" else own.axes[0]
        values, scale = rounded(weights[own.output], axis)
        np.testing.assert_allclose(values * scale, weights[own.output], atol=1e-4 * scale.max())
        np.testing.assert_allclose(scale, rounded(own.weight, axis)[1], rtol=1e-6)


@SCALES
@FORMATS
def test_integers_err_less_than_by_nearest_rounding_and_repeat_byte_for_byte(
    floats: dict[str, Path], tmp_path: Path, fmt: str, scales: str
) -> None:
    """Weights alone: activations of 16 bits add next to nothing."""
    path = floats[fmt]
    plan = replace(planned(path, "w8a16"), weight_scales=scales)
    weights, shifts = adapt(path, scales)
    save_adapted(path, weights)
    assert load_adapted(path).keys() == weights.keys()
    told = {name: packed(own) for name, own in shifts.items()}
    better = replace(plan, bias_shifts=told, rounding="adaptive")
    assert better.passes == {"adapt_weights": len(told), "correct_biases": len(told)}
    powers = []
    for own in (plan, better):
        out = tmp_path / f"q.{fmt}"
        out.write_bytes(quantized(path, own))
        assert quantized(path, own) == out.read_bytes()
        powers.append(mean_square_error(path, out))
    assert powers[1] < 0.5 * powers[0]


@FORMATS
def test_what_stays_in_float32_keeps_its_weights(floats: dict[str, Path], fmt: str) -> None:
    path = floats[fmt]
    weights, shifts = adapt(path, "per-channel")
    save_adapted(path, weights)
    told = {name: packed(own) for name, own in shifts.items()}
    first = next(iter(shifts))
    plan = replace(planned(path, "w8a8-static"), bias_shifts=told, rounding="adaptive")
    assert first in plan.adapted(path)
    assert first not in replace(plan, kept={first: "asked for"}).adapted(path)
    assert replace(plan, rounding="nearest").adapted(path) == {}
