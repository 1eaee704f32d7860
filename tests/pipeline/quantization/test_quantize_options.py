"""What cannot be asked of integers, and data that does not fit: refused before any work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quantized_user import SHAPE, job, silent, write_user

from tinyml.core.errors import InputError, UsageError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.pipeline.export import export
from tinyml.pipeline.model_sources.calibration import given
from tinyml.pipeline.model_sources.check_model import check_kept
from tinyml.pipeline.model_sources.choose import source_of


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A folder with a network of the user's, its sample and calibration data."""
    write_user(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((4, *SHAPE), np.nan, np.float32), "holds NaN or infinite values"),
        (np.zeros((0, *SHAPE), np.float32), "holds no samples"),
        (np.zeros((4, 1, 3, 8, 8), np.float32), "the model takes float32"),
        (np.zeros((4, *SHAPE), np.float64), "the model takes float32"),
        (np.array(3, np.float32), "the model takes float32"),
    ],
)
def test_calibration_data_that_does_not_fit_is_refused(
    array: np.ndarray[Any, Any], said: str
) -> None:
    signature = Signature((TensorSpec("image", SHAPE),), (TensorSpec("y", (1, 5)),))
    with pytest.raises(InputError, match=said):
        given({"image": array}, signature, 200)


def test_an_export_with_such_data_writes_nothing(user: Path) -> None:
    np.savez(user / "bad.npz", image=np.full((4, *SHAPE), np.nan, np.float32))
    with pytest.raises(InputError, match="holds NaN or infinite values"):
        export(job(user, calibration=user / "bad.npz", formats=("tflite",)), silent)
    assert not (user / "out").exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ranges": "min"}, "unknown value 'min' of `ranges`"),
        ({"ranges": ""}, "unknown value '' of `ranges`"),
        ({"calibration": Path("nowhere.npz")}, "no calibration data at nowhere.npz"),
        ({"calibration_samples": 0}, "it takes 1 or more"),
        ({"precision": "fp32", "ranges": "mse"}, "`ranges` is for quantized"),
        ({"precision": "fp16", "keep_float": ("head",)}, "`keep_float` is for quantized"),
        ({"precision": "fp32", "explain": True}, "`explain` is for quantized"),
        ({"precision": "fp16", "equalize": True}, "`equalize` is for quantized"),
        ({"precision": "fp32", "correct_bias": True}, "`correct_bias` is for quantized"),
        ({"precision": "w8-dynamic", "correct_bias": True}, "`correct_bias` is not for w8-dynamic"),
        ({"weight_scales": "per-row"}, "unknown value 'per-row' of `weight_scales`"),
        ({"front_end": "int16"}, "unknown value 'int16' of `front_end`"),
        ({"precision": "fp32", "front_end": "int8"}, "`front_end` is for quantized"),
        ({"precision": "int8"}, "unknown value 'int8' of `precision`"),
        ({"precision": "fp32", "ranges": "entropy"}, "`ranges` is for quantized"),
        ({"max_drop_points": 1.0}, "`max_drop_points` is for `auto_precision`"),
        ({"precision": "fp32", "max_drop_points": 1.0}, "`max_drop_points` is for `auto"),
        ({"precision": "w8-dynamic", "ranges": "mse"}, "`ranges` is for ranges that are fixed"),
        ({"precision": "w8-dynamic", "calibration": Path("c.npz")}, "w8-dynamic finds its own"),
        ({"precision": "w8-dynamic", "calibration_samples": 9}, "`calibration_samples` is for"),
        ({"precision": "w8", "ranges": "mse"}, "w8 leaves activations in float32"),
        ({"precision": "w8", "correct_bias": True}, "`correct_bias` is not for w8: it takes no"),
        ({"precision": "fp32", "rounding": "adaptive"}, "`rounding` is for quantized"),
        ({"rounding": "stochastic"}, "unknown value 'stochastic' of `rounding`"),
        ({"precision": "w8", "rounding": "adaptive"}, "adaptive` is not for w8: it takes no"),
        ({"rounding": "adaptive", "correct_bias": True}, "biases are corrected already"),
        ({"calibration_samples": 9}, "how many of `calibration` are used"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_before_any_work(
    user: Path, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        export(job(user, **{"calibration": None, **asked}), silent)


@pytest.mark.parametrize(
    ("export_section", "asked", "said"),
    [
        ('precision = "fp32"\nranges = "mse"', {}, "`ranges` is for quantized precisions"),
        ("equalize = true", {}, "`equalize` is for quantized precisions"),
        ('precision = "w8"\nranges = "mse"', {}, "w8 leaves activations in float32"),
        (
            'precision = "w8a8-static"\nio = "int8"',
            {"precision": "fp16"},
            "fp16 is not quantized to integers",
        ),
    ],
)
def test_a_recipes_setting_is_refused_like_the_option_unless_it_is_taken_back(
    user: Path, export_section: str, asked: dict[str, Any], said: str
) -> None:
    (user / "r.toml").write_text(f'model = "net"\n[export]\n{export_section}\n')
    called = {"calibration": None, "precision": None, "recipe": user / "r.toml", **asked}
    with pytest.raises(UsageError, match=said) as caught:
        export(job(user, **called), silent)
    (name,) = re.findall("take back what the recipe sets: `([a-z_]+)=None`", caught.value.hint)
    _source, settings = source_of(job(user, unset=(name,), **called))
    assert getattr(settings, name) is None


def test_an_unknown_stage_to_keep_is_refused_before_any_conversion(user: Path) -> None:
    told: list[str] = []
    asked = job(user, keep_float=("head", "hed"), formats=("tflite",))
    with pytest.raises(UsageError, match="no stage 'hed' to keep in float32") as caught:
        export(asked, lambda event: told.append(getattr(event, "text", "")))
    assert caught.value.hint.startswith("stages, the nearest first: head, ")
    assert not any("converting" in line for line in told)
    assert not (user / "out").exists()


def test_of_many_stages_the_nearest_are_told() -> None:
    stages = [f"block{number}.conv" for number in range(30)]
    check_kept(stages[:3], stages)
    with pytest.raises(UsageError) as caught:
        check_kept(["block17.cnv"], stages)
    assert caught.value.hint.startswith("stages, the nearest first: block17.conv, ")
    assert caught.value.hint.endswith(" and 22 more")
    with pytest.raises(UsageError) as caught:
        check_kept(["a"], [])
    assert caught.value.hint == "stages, the nearest first: none"
