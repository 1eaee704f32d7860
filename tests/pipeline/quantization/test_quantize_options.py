"""What cannot be asked of integers, and data that does not fit: refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quantized_user import SHAPE, job, silent, write_user

from tinyml.core.errors import InputError, UsageError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.pipeline.export import export
from tinyml.pipeline.quantization.write_quantized import check_kept
from tinyml.pipeline.sources.calibration import given


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
        ({"ranges": "min"}, "unknown method for ranges 'min'"),
        ({"ranges": ""}, "unknown method for ranges ''"),
        ({"calibration": Path("nowhere.npz")}, "no calibration data at nowhere.npz"),
        ({"calibration_samples": 0}, "at least one is needed"),
        ({"precision": "fp32", "ranges": "mse"}, "--ranges is for integers"),
        ({"precision": "fp16", "keep_float": ("head",)}, "--keep-float is for integers"),
        ({"precision": "fp32", "explain": True}, "--explain is for integers"),
        ({"precision": "fp16", "equalize": True}, "--equalize is for integers"),
        ({"precision": "fp32", "correct_bias": True}, "--correct-bias is for integers"),
        ({"precision": "w8-dynamic", "correct_bias": True}, "--correct-bias is not for w8-dynamic"),
        ({"weight_scales": "per-row"}, "unknown kind of weight scales 'per-row'"),
        ({"front_end": "int16"}, "unknown kind of front end 'int16'"),
        ({"precision": "fp32", "front_end": "int8"}, "--front-end is for integers"),
        ({"precision": "int8"}, "unknown precision 'int8'"),
        ({"precision": "fp32", "ranges": ""}, "--ranges is for integers"),
        ({"max_drop_points": 1.0}, "--max-drop-points is for --auto-precision"),
        ({"precision": "fp32", "max_drop_points": 1.0}, "--max-drop-points is for --auto"),
        ({"precision": "w8-dynamic", "ranges": "mse"}, "--ranges is for ranges that are fixed"),
        ({"precision": "w8-dynamic", "calibration": Path("c.npz")}, "w8-dynamic finds its own"),
        ({"precision": "w8-dynamic", "calibration_samples": 9}, "--calibration-samples is for"),
        ({"precision": "w8", "ranges": "mse"}, "w8 leaves activations in float32"),
        ({"precision": "w8", "correct_bias": True}, "--correct-bias is not for w8: it takes no"),
        ({"precision": "fp32", "rounding": "adaptive"}, "--rounding is for integers"),
        ({"rounding": "stochastic"}, "unknown kind of rounding 'stochastic'"),
        ({"precision": "w8", "rounding": "adaptive"}, "adaptive is not for w8: it takes no"),
        ({"rounding": "adaptive", "correct_bias": True}, "biases are corrected already"),
        ({"calibration_samples": 9}, "how many of --calibration's are taken"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_before_any_work(
    user: Path, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        export(job(user, **{"calibration": None, **asked}), silent)


def test_an_unknown_stage_to_keep_is_refused_before_any_conversion(user: Path) -> None:
    told: list[str] = []
    asked = job(user, keep_float=("head", "hed"), formats=("tflite",))
    with pytest.raises(UsageError, match="no stage 'hed' to keep in float32") as caught:
        export(asked, lambda event: told.append(str(event.get("text", ""))))
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
