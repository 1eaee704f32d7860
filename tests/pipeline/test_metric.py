"""The user's data and metric: rows that fit, numbers that are numbers, and a bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core.array_files import read_npz
from tinyml.core.arrays import check_data, rows_of
from tinyml.core.bundle import Parity, StageParity
from tinyml.core.errors import InputError, UsageError, ValidationError
from tinyml.core.export_settings import ExportSettings
from tinyml.core.spec import Signature, StatePair, TensorSpec
from tinyml.core.tolerance import metric_bound
from tinyml.export.parity import gate
from tinyml.pipeline.model_sources.metric import Measuring, judged, predictions, value
from tinyml.pipeline.model_sources.metric_kind import sounds_like_loss
from tinyml.pipeline.model_sources.user_model import read_measuring
from tinyml.pipeline.quantization.sensitivity import settled

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
    with pytest.raises(InputError, match="the metric of pytorch is nan"):
        value(lambda p, t: float("nan"), {"y": X}, X)
    with pytest.raises(ValidationError, match=r"the metric of litert is inf"):
        value(lambda p, t: float("inf"), {"y": X}, X, "litert")


def test_an_output_that_is_not_finite_is_told_before_the_metric_sees_it() -> None:
    def ask(inputs: Any) -> Any:
        return {"y": np.where(inputs["x"] == 7, np.nan, inputs["x"]), "next_h": inputs["h"]}

    words = r"litert on sample 2 of the data: the output 'y' holds NaN .*\(1 of 3\)"
    with pytest.raises(ValidationError, match=words):
        predictions(SIGNATURE, {"x": X, "targets": np.zeros(4)}, ask, "litert")


def test_a_metric_may_turn_one_sample_or_a_hundredth() -> None:
    assert metric_bound(0.9, 20) == 1 / 20
    assert metric_bound(500.0, 20) == 5.0
    assert metric_bound(0.001, 12, is_share=False) == 1e-5


def metric(predictions: Any, targets: Any) -> float:
    """Its name says nothing."""
    return 0.0


def asked(direction: str | None = None, tolerance: float | None = None) -> Measuring:
    return Measuring(metric, {"targets": np.zeros(12)}, direction, tolerance)


def rows(measuring: Measuring, *values: float) -> list[tuple[bool, str]]:
    """Of each engine whether it holds, and the kind, PyTorch's value first."""
    named = dict(zip(["pytorch", "litert", "onnxruntime"], values, strict=False))
    return [(row.holds, row.kind) for row in judged(measuring, named, 12)[1:]]


def test_a_loss_may_not_grow_by_a_sample_but_may_fall() -> None:
    lower = asked("lower")
    assert rows(lower, 0.001, 0.084, 0.0) == [(False, "relative"), (True, "relative")]
    assert rows(lower, 0.001, 0.001009, 0.0011) == [(True, "relative"), (False, "relative")]
    assert rows(asked("higher"), 0.773, 0.9, 0.7) == [(True, "relative"), (False, "relative")]


def test_a_share_of_samples_turns_one_and_without_a_direction_either_way() -> None:
    assert rows(asked(), 9 / 12, 10 / 12, 8 / 12) == [(True, "share")] * 2
    assert rows(asked(), 9 / 12, 11 / 12, 7 / 12) == [(False, "share")] * 2
    assert rows(asked("higher"), 9 / 12, 11 / 12, 7 / 12) == [(True, "share"), (False, "share")]
    assert rows(asked("lower"), 9 / 12, 11 / 12, 7 / 12) == [(False, "share"), (True, "share")]


def test_the_tolerance_that_is_given_judges_alone() -> None:
    given = asked("lower", 0.05)
    assert rows(given, 0.001, 0.050, 0.084) == [(True, "given"), (False, "given")]
    assert rows(asked(tolerance=0.0), 0.5, 0.5, 7 / 12) == [(True, "given"), (False, "given")]


@pytest.mark.parametrize(
    "name", ["mse", "log_loss", "crossEntropyLoss", "word_error_rate", "RMSE", "valMSE", "wer"]
)
def test_a_loss_without_a_direction_is_refused_before_any_work(name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}' sounds like a loss") as caught:
        Measuring(f"nowhere.py:{name}", {})
    assert "`metric_direction=lower`" in caught.value.hint
    assert Measuring(f"nowhere.py:{name}", {}, "lower").name == name


@pytest.mark.parametrize("name", ["accuracy", "answer", "power", "certainty", "top5", "recall"])
def test_a_name_that_holds_a_loss_by_chance_is_none(name: str) -> None:
    assert not sounds_like_loss(name)


@pytest.mark.parametrize(
    ("name", "better"), [("top5_accuracy", "higher"), ("meanIoU", None), ("auc", "higher")]
)
def test_some_names_say_which_way_is_better(name: str, better: str | None) -> None:
    assert Measuring(f"m:{name}", {}).better == better
    assert Measuring(f"m:{name}", {}, "lower").better == "lower"
    assert Measuring("m:count", {}).better is None


@pytest.mark.parametrize("value", [0.001, 12.5, -0.25, 0.7731])
def test_what_is_no_share_of_samples_needs_a_direction(value: float) -> None:
    with pytest.raises(InputError, match="not a share of 12 samples") as caught:
        rows(asked(), value, value)
    assert "`metric_direction=" in caught.value.hint
    with pytest.raises(InputError, match="not a share of 12 samples"):
        rows(asked(), 0.0, 0.084)
    assert rows(asked("higher"), value, value) == [(True, "relative")]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metric_direction": "up"}, "unknown value 'up' of `metric_direction`"),
        ({"metric_tolerance": -1.0}, "`metric_tolerance` is -1: it takes 0 or more"),
        ({"metric_tolerance": float("nan")}, "`metric_tolerance` is nan"),
    ],
)
def test_directions_and_tolerances_that_cannot_be_are_refused(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        ExportSettings(**settings)


def test_what_is_said_of_a_metric_needs_one() -> None:
    for said in ({"direction": "lower"}, {"tolerance": 0.1}):
        with pytest.raises(UsageError, match="is for `metric`, which is not given"):
            read_measuring(None, None, **said)  # type: ignore[arg-type]


def proof(measuring: Measuring, *values: float) -> Parity:
    named = dict(zip(["pytorch", "litert"], values, strict=True))
    row = StageParity("litert", "sample", "output", "pass", "engine", 0.0, 1.0)
    return Parity((row,), metrics=judged(measuring, named, 12))


def test_the_search_for_a_precision_goes_by_the_direction() -> None:
    lower = asked("lower")
    assert settled(proof(lower, 0.5, 0.1), 0.5)
    assert not settled(proof(lower, 0.5, 0.504), 0.5)  # 0.8 percent worse
    assert settled(proof(lower, 0.5, 0.504), 1.0)
    assert not settled(proof(lower, 0.5, 0.6), 50.0)  # the gate would refuse it
    assert settled(proof(asked("lower", 0.2), 0.5, 0.6), 0.5)
    assert settled(proof(asked("higher"), 0.5, 1.0), 0.5)
    assert not settled(proof(asked(), 9 / 12, 10 / 12), 0.5)
    assert settled(proof(asked("higher"), 9 / 12, 8 / 12), 9.0)


def test_the_gate_says_by_how_much_a_metric_is_worse() -> None:
    gate(proof(asked("lower"), 0.001, 0.0))
    with pytest.raises(ValidationError, match=r"worse by 0\.083, at most 1e-05 allowed") as caught:
        gate(proof(asked("lower"), 0.001, 0.084))
    assert "`metric_tolerance`" in caught.value.hint


@pytest.mark.parametrize(
    "kind", ["missing", "object", "bare", "text", "empty", "cut", "compression", "encrypted"]
)
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
    elif kind in ("compression", "encrypted"):
        np.savez(path, x=X)
        data = bytearray(path.read_bytes())
        for start, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = data.index(start) + at  # of the flags; the method comes next
            data[place + 2 * (kind == "compression")] |= 99 if kind == "compression" else 1
        path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_npz(path)
    assert "a.npz" in caught.value.message
