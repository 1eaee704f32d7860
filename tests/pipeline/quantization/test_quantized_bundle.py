"""Integers from a module to a bundle: calibrated, planned, checked, and refused where needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quantized_user import SHAPE, job, silent, write_user
from torch import Tensor, nn

from tinyml.cli.export import _show
from tinyml.core import bundle as bundles
from tinyml.core.cpu_features import instruction_set
from tinyml.core.errors import ExportError, InputError, UsageError, ValidationError
from tinyml.core.export_job import ExportJob
from tinyml.core.export_settings import ExportSettings
from tinyml.core.settings import complete
from tinyml.export.quantization.precision import find_precision
from tinyml.pages.card import model_card
from tinyml.pipeline.export import export
from tinyml.pipeline.inspect import inspect
from tinyml.pipeline.quantization import bias_shift
from tinyml.pipeline.steps import equalize
from tinyml.pipeline.steps.export_plan import _check_rounding
from tinyml.pipeline.steps.perform import size_line
from tinyml.pipeline.verify import verify


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A folder with a network of the user's, its sample and calibration data."""
    write_user(tmp_path)
    return tmp_path


def test_a_users_network_becomes_integers_in_both_formats_and_is_explained(user: Path) -> None:
    told: list[str] = []
    made = export(job(user, explain=True), lambda event: told.append(getattr(event, "text", "")))
    assert {model.precision for model in made.models} == {"w8a8-static"}
    for model in made.models:
        assert model.plan.samples == 16
        assert model.plan.data == "given"
        assert model.plan.instructions == instruction_set()
        assert model.plan.threads == 1
        assert model.plan.rounding == "nearest"
        schemes = [own.scheme for own in model.plan.tensors.values()]
        assert schemes.count("int8") >= 5
        assert "probabilities: a threshold needs more than 256 levels" in set(
            model.plan.kept.values()
        )
        assert (model.float_mac_share, model.mixed) == (0.0, "")
    rows = [row for row in made.parity.stages if row.policy == "int8"]
    assert {row.verdict for row in rows if row.case == "sample"} == {"pass", "fused away"}
    assert {row.verdict for row in rows if row.case == "silence"} == {"not judged", "fused away"}
    assert all(row.sqnr_db > 20 for row in rows if row.case == "sample" and row.sqnr_db)
    assert any(line.startswith("w8a8-static onnx: ") for line in told)
    for fmt in ("onnx", "tflite"):
        mine = [line for line in told if line.startswith(f"{fmt}:   ")]
        assert {line.split()[1].rstrip(":") for line in mine} >= {"entry", "body", "head"}
    assert not any("biased_error" in line for line in told)
    checked = verify(user / "out", silent)
    assert checked.parity.passed
    saved = json.loads((user / "out" / "manifest.json").read_text())
    assert [file["precision"] for file in saved["models"]] == ["w8a8-static"] * 2
    assert bundles.read(user / "out").models == made.models


def test_a_stage_stays_in_float_and_its_macs_are_shown_and_the_sample_alone_is_looked_at(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"keep_float": ("body", "head"), "calibration": None, "formats": ("tflite",)}
    made = export(job(user, **asked), silent)
    (model,) = made.models
    assert list(model.plan.kept.values()).count("asked for") >= 2
    # entry: 64 pixels of 16 channels, 27 taps; body: of 32 channels, 144 taps; head: 32 x 5.
    entry, body, head = 64 * 16 * 27, 64 * 32 * 144, 32 * 5
    assert model.float_mac_share == pytest.approx((body + head) / (entry + body + head))
    assert model.precision == "w8a8-static"
    assert model.mixed == "mixed: 91.4% of MACs in float"
    line = f"{model.path}: {model.mixed}"
    assert f"- {line}" in model_card(made)
    _show(made, user / "out")
    assert line in capsys.readouterr().err
    assert inspect(user / "out")[model.path]["mixed"] == model.mixed
    assert bundles.read(user / "out").models == made.models
    assert model.plan.samples == 1
    assert "give more with `calibration`" in model.plan.data


def test_dynamic_integers_need_no_calibration(user: Path) -> None:
    asked = {"precision": "w8-dynamic", "calibration": None, "formats": ("tflite",)}
    (model,) = export(job(user, **asked), silent).models
    assert model.plan.ranges == "each call"
    assert model.passes["to_w8-dynamic"] > 0


def test_activations_that_spread_are_found_ranked_and_cured(user: Path) -> None:
    """Channels of 1 to 1000 in one tensor: no scale of the weights helps."""
    network = f"{user / 'net.py'}:spread"
    with pytest.raises(ValidationError, match=r"differs from PyTorch at stage '(gather|head)'"):
        export(job(user, model=network, formats=("tflite",)), silent)
    told: list[str] = []
    asked = job(user, model=network, formats=("tflite",), auto_precision=True)
    made = export(asked, lambda event: told.append(getattr(event, "text", "")))
    found = next(text for text in told if "uneven_activations at spread\n" in text)
    found = " ".join(found.split())
    assert "8 of 16 lie within 2 steps" in found
    assert "`keep_float=spread` `keep_float=gather`" in found
    assert "uneven_activations" not in {
        own.rule for own in made.facts.lint["spread-w8a8-static.tflite"]
    }
    assert made.facts.sensitivity["tflite"].whole_db < 10
    assert {"sensitivity.png", "classes.png"} <= set(made.files)
    worst = [line for line in told if line.startswith("tflite:   ")][:2]
    assert {line.split()[1].rstrip(":") for line in worst} == {"spread", "gather"}
    kept = {name for name in told if name.endswith("stays in float32 from here on")}
    assert {line.split()[0] for line in kept} <= {"spread", "gather"}
    assert made.parity.passed
    assert 0 < len(made.models[0].plan.kept) <= 2
    shown = [row.sqnr_db for row in made.parity.stages if row.policy == "int8" and row.sqnr_db]
    assert min(shown) > 10
    # The recipe that was left repeats the export, byte for byte, without looking at layers.
    left = {"formats": None, "precision": None, "recipe": user / "out.recipe.toml"}
    told.clear()
    again = export(
        job(user, model=network, out=user / "again", **left),
        lambda event: told.append(getattr(event, "text", "")),
    )
    assert [model.sha256 for model in again.models] == [model.sha256 for model in made.models]
    assert "quantizing each layer alone" not in told
    assert any(line.startswith("tflite: ranges were found before") for line in told)
    assert again.models[0].plan.kept.keys() == made.models[0].plan.kept.keys()


@pytest.mark.slow
def test_a_layer_that_makes_nan_is_ranked_first_and_alone_stays_in_float(user: Path) -> None:
    """Integers turn 1e-6 into 0, of which a negative power is not finite."""
    told: list[str] = []
    asked = job(user, model=f"{user / 'net.py'}:heard", formats=("tflite",), auto_precision=True)
    made = export(asked, lambda event: told.append(getattr(event, "text", "")))
    first = next(line for line in told if line.startswith("tflite:   "))
    assert first.startswith("tflite:   fe: alone -inf dB; all the others without it ")
    kept = [line for line in told if line.endswith("stays in float32 from here on")]
    assert kept == ["fe stays in float32 from here on"]
    layers = {own.layer: own.alone_db for own in made.facts.sensitivity["tflite"].layers}
    assert layers["fe"] == float("-inf")
    assert made.parity.passed


def test_activations_that_spread_are_evened_by_equalization(user: Path) -> None:
    asked = {"model": f"{user / 'net.py'}:spread", "equalize": True, "formats": ("tflite",)}
    told: list[str] = []
    made = export(job(user, **asked), lambda event: told.append(getattr(event, "text", "")))
    assert made.models[0].passes["equalize_layers"] > 0
    assert equalize.NOTHING not in told
    assert not any("uneven_activations" in line for line in told)
    evened = [row for row in made.parity.stages if row.engine == "equalized"]
    assert {row.verdict for row in evened} == {"pass", "fused away"}
    assert {row.max_error for row in evened if row.stage == "output"} == {0.0}


@pytest.mark.slow
def test_a_biased_error_is_found_and_cured_in_both_formats(user: Path) -> None:
    """One scale for depthwise filters that spread, far from zero: rounding shifts every mean."""
    told: list[str] = []

    def tell(event: Any) -> None:
        told.append(getattr(event, "text", ""))

    asked = {"model": f"{user / 'net.py'}:biased", "weight_scales": "per-tensor"}
    plain = export(job(user, **asked), tell)
    found = [line for line in told if "biased_error at " in line]
    assert len(found) == 2
    assert all("rounded weights alone leave" in line and "--correct-bias" in line for line in found)
    told.clear()
    made = export(job(user, out=user / "corrected", correct_bias=True, **asked), tell)
    assert not any("biased_error" in line for line in told)
    assert told.count("  4 biases corrected") == 2
    for model in made.models:
        assert model.passes["correct_biases"] == len(model.plan.bias_shifts) == 4
    before, after = answers_db(plain), answers_db(made)
    assert all(after[engine] > before[engine] + 3 for engine in before)
    floats = [row for row in made.parity.stages if row.engine in ("captured", "rewritten")]
    assert floats == [r for r in plain.parity.stages if r.engine in ("captured", "rewritten")]
    assert verify(user / "corrected", silent).parity.passed


def answers_db(made: bundles.Bundle) -> dict[str, float]:
    """Format's reader -> SQNR of the last stage on the sample."""
    rows = [row for row in made.parity.stages if (row.stage, row.case) == ("head", "sample")]
    return {row.engine: row.sqnr_db for row in rows if row.policy == "int8" and row.sqnr_db}


@pytest.mark.parametrize(
    "option",
    [pytest.param({"correct_bias": True}, marks=pytest.mark.slow), {"rounding": "adaptive"}],
)
def test_a_layer_that_stays_in_float_is_not_corrected_and_the_file_repeats(
    user: Path, option: dict[str, Any]
) -> None:
    asked = {"model": f"{user / 'net.py'}:biased", "precision": "w8a16", **option}
    asked |= {"keep_float": ("mixed",), "formats": ("tflite",)}
    (made,) = export(job(user, **asked), silent).models
    assert made.passes["correct_biases"] == len(made.plan.bias_shifts) == 3
    assert made.passes.get("adapt_weights", 0) == (3 if "rounding" in option else 0)
    assert made.plan.rounding == option.get("rounding", "nearest")
    assert {own.scheme for own in made.plan.tensors.values()} == {"int16"}
    (again,) = export(job(user, out=user / "again", **asked), silent).models
    assert again == made


def test_without_a_layer_there_is_nothing_to_even_out_nor_to_correct_and_it_is_said(
    user: Path,
) -> None:
    told: list[str] = []
    asked = {"model": f"{user / 'net.py'}:square", "correct_bias": True, "equalize": True}
    asked |= {"formats": ("onnx",)}
    with pytest.raises(ExportError, match="no operator to quantize"):
        export(job(user, **asked), lambda event: told.append(getattr(event, "text", "")))
    assert {bias_shift.NOTHING, equalize.NOTHING} <= set(told)
    assert not (user / "out").exists()


def test_weights_that_were_trained_rounded_keep_their_biases() -> None:
    chosen = ExportSettings(precision="qat-w8a8", correct_bias=True)
    asked = ExportJob("net", "rpi", Path("out"), settings=chosen)
    with pytest.raises(UsageError, match="not for qat-w8a8: its biases were trained") as refused:
        _check_rounding(asked, complete(chosen), find_precision("qat-w8a8"))
    assert "omit `correct_bias`" in refused.value.hint


class Dead(nn.Module):
    """Infinite in one activation, on every input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        return torch.exp(200 + self.conv(image).abs()).clamp(max=1.0)


def test_an_infinite_range_is_refused_with_its_tensor(user: Path) -> None:
    from tinyml import build_bundle

    sample = {"image": np.ones(SHAPE, np.float32)}
    with pytest.raises(InputError, match=r"makes '.*' not finite"):
        build_bundle(
            Dead().eval(), sample, out=user / "out", formats=("tflite",), precision="w8a8-static"
        )


def test_a_file_that_integers_hardly_make_smaller_is_said(tmp_path: Path) -> None:
    before, after = tmp_path / "float.onnx", tmp_path / "net.onnx"
    before.write_bytes(bytes(1000))
    after.write_bytes(bytes(930))
    told = size_line(before, after, "w8a8-static")
    assert told.startswith("net.onnx takes 93% of the float32 file")
    assert told.endswith("tinyml bench shows whether it is faster")
    assert size_line(before, after, "w8").endswith("it computes in float32, no faster")
    after.write_bytes(bytes(300))
    assert size_line(before, after, "w8") == ""
