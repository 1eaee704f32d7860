"""The user's data and metric: rows that fit, numbers that are numbers, and a bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.errors import InputError
from tinyml.pipeline.sources.arrays import check_data, read_npz, rows_of
from tinyml.pipeline.sources.metric import predictions, value
from tinyml.spec import Signature, StatePair, TensorSpec
from tinyml.tolerance import metric_bound

SIGNATURE = Signature(
    inputs=(TensorSpec("x", (1, 3)), TensorSpec("h", (1, 2))),
    outputs=(TensorSpec("y", (1, 3)), TensorSpec("next_h", (1, 2))),
    states=(StatePair("h", "next_h"),),
)
X = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_predictions_have_one_row_a_sample_and_no_states() -> None:
    asked = []

    def ask(inputs: Any) -> Any:
        asked.append(inputs)
        return {"y": 2 * inputs["x"], "next_h": inputs["h"]}

    for x in (X, X[:, None]):
        answers = predictions(SIGNATURE, {"x": x, "targets": np.zeros(4)}, ask)
        assert list(answers) == ["y"]
        np.testing.assert_array_equal(answers["y"], 2 * X)
    assert all(np.all(inputs["h"] == 0) for inputs in asked)
    np.testing.assert_array_equal(
        rows_of(SIGNATURE, {"x": X, "h": np.ones((4, 1, 2), np.float32)}, 1)["h"], [[1, 1]]
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"x": X}, "no 'targets'"),
        ({"targets": np.zeros(4)}, "no 'x'"),
        ({"x": X, "targets": np.zeros(3)}, "'x' has 4 samples, targets 3"),
        ({"x": X.astype(np.float64), "targets": np.zeros(4)}, "float64"),
        ({"x": X[:, :2], "targets": np.zeros(4)}, "of each sample"),
        ({"x": X[:0], "targets": np.zeros(0)}, "no samples"),
        ({"x": X, "targets": np.float64(1)}, "4 samples, targets 0"),
    ],
)
def test_data_that_does_not_fit_is_told(data: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_data(SIGNATURE, data)
    assert words in caught.value.message


def test_one_output_is_an_array_and_several_are_a_dict() -> None:
    assert value(lambda p, t: p.sum() + t, {"y": X}, np.float64(1)) == X.sum() + 1
    assert value(lambda p, t: len(p), {"y": X, "z": X}, X) == 2


def nothing(predictions: Any, targets: Any) -> None:
    """Returns no number."""


def test_what_is_no_number_is_told_with_its_line() -> None:
    with pytest.raises(InputError, match=r"test_metric.py:\d+: the metric returns a NoneType"):
        value(nothing, {"y": X}, X)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the metric is nan"):
        value(lambda p, t: float("nan"), {"y": X}, X)


def test_a_metric_may_turn_one_sample_or_a_hundredth() -> None:
    assert metric_bound(0.9, 20) == 1 / 20
    assert metric_bound(500.0, 20) == 5.0


@pytest.mark.parametrize("kind", ["missing", "object", "bare", "text", "empty", "cut"])
def test_arrays_that_cannot_be_read_are_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.npz"
    if kind == "object":
        np.savez(path, x=np.array([{}], object))
    elif kind == "bare":
        with path.open("wb") as stream:
            np.save(stream, X)
    elif kind == "text":
        path.write_text("hello")
    elif kind == "empty":
        np.savez(path)
    elif kind == "cut":
        np.savez(path, x=X)
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError) as caught:
        read_npz(path)
    assert "a.npz" in caught.value.message
