"""What a run learns comes from its own subjects; values that it cannot use are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_training import (
    DATA,
    RATE,
    RECIPE,
    SMALL,
    quiet,
)
from torch import nn

from tinyml.core import checkpoint
from tinyml.core.errors import CheckpointError, DataError, RecipeError
from tinyml.core.events import Event
from tinyml.core.recipe import DecisionRecipe, TrainRecipe
from tinyml.models.data.recordings import Recording, subject_labels
from tinyml.models.training.metrics import subject_metrics
from tinyml.models.training.optimize import one_cycle
from tinyml.models.training.predict import by_subject, predict_recordings
from tinyml.models.training.recordings import train
from tinyml.models.training.run import classify_windows, load_module


def test_statistics_thresholds_and_weights_see_training_subjects_only(
    whole: Path, tmp_path: Path
) -> None:
    saved = checkpoint.load(whole)
    validation = set(saved.facts["split"]["validation"])
    assert validation

    def other_sound(recording: Recording) -> Recording:
        samples, rate_hz = recording.load()
        return replace(recording, load=lambda: (samples[::-1] * 3, rate_hz))

    changed = tuple(other_sound(r) if r.subject in validation else r for r in DATA.recordings)
    other = train(SMALL, RECIPE, replace(DATA, recordings=changed), tmp_path / "run", quiet)
    assert other.processor == saved.processor
    for name, value in saved.weights.items():
        np.testing.assert_array_equal(value, other.weights[name], err_msg=name)
    assert other.facts["curve"][0]["validation_loss"] != saved.facts["curve"][0]["validation_loss"]


def test_predicting_the_recordings_gives_the_validation_metrics_of_training(tmp_path: Path) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, epochs=20))
    saved = train(SMALL, recipe, DATA, tmp_path / "run", quiet)
    validation = set(saved.facts["split"]["validation"])
    recordings = [r for r in DATA.recordings if r.subject in validation]
    answer = classify_windows(load_module(SMALL, saved))
    found = predict_recordings(answer, saved.processor, recordings)
    subjects = by_subject(saved.processor, [r.subject for r in recordings], found)
    metrics = subject_metrics(saved.processor, subject_labels(DATA), subjects)
    assert metrics == saved.facts["validation"]
    assert metrics["uar"] > 0.9


def test_a_recording_too_short_for_a_window_is_left_out_and_said(tmp_path: Path) -> None:
    short = replace(DATA.recordings[0], load=lambda: (np.ones(50, np.float32), RATE))
    data = replace(DATA, recordings=(short, *DATA.recordings[1:]))
    said: list[Event] = []
    saved = train(SMALL, RECIPE, data, tmp_path / "run", said.append)
    assert saved.facts["left_out"] == [short.id]
    assert any(short.id in text and "0.50 s" in text for text in saved.facts["warnings"])
    assert any(short.id in getattr(event, "text", "") for event in said)


def test_a_recording_that_cannot_be_read_stops_the_run(tmp_path: Path) -> None:
    def broken() -> tuple[np.ndarray, int]:
        raise DataError("x.wav is truncated")

    data = replace(
        DATA, recordings=(replace(DATA.recordings[0], load=broken), *DATA.recordings[1:])
    )
    with pytest.raises(DataError, match="truncated"):
        train(SMALL, RECIPE, data, tmp_path / "run", quiet)


def test_weights_of_another_model_are_refused_by_name(whole: Path) -> None:
    saved = checkpoint.load(whole)
    module = load_module(SMALL, saved)
    assert not module.training
    other = replace(SMALL, name="other", build=lambda classes: nn.Linear(3, classes))
    with pytest.raises(CheckpointError, match=r"'other'.*weight is missing"):
        load_module(other, saved)
    wider = {**saved.weights, "linear.weight": np.zeros((3, 9), np.float32)}
    with pytest.raises(CheckpointError, match=r"linear.weight is \[3, 9\] instead of \[3, 8\]"):
        load_module(SMALL, replace(saved, weights=wider))


def test_the_recipe_may_change_hop_and_aggregation_but_not_the_window(tmp_path: Path) -> None:
    recipe = replace(RECIPE, decision=DecisionRecipe(window_s=2.0, hop_s=0.5, aggregation="max"))
    saved = train(SMALL, recipe, DATA, tmp_path / "run", quiet)
    assert (saved.processor.hop, saved.processor.aggregation) == (50, "max")
    for bad in (
        DecisionRecipe(window_s=3.0),
        DecisionRecipe(hop_s=-1.0),
        DecisionRecipe(aggregation="median"),
    ):
        with pytest.raises(RecipeError, match="decision"):
            train(SMALL, replace(RECIPE, decision=bad), DATA, tmp_path / "other", quiet)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"class_weights": (1.0, 2.0)},
        {"class_weights": (1.0, 2.0, 0.0)},
        {"threshold_folds": 1},
        {"validation_fraction": 1.0},
        {"epochs": 0},
        {"batch_size": -1},
        {"learning_rate": 0.0},
    ],
    ids=str,
)
def test_values_that_cannot_be_trained_with_are_named(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=next(iter(bad))):
        train(SMALL, replace(RECIPE, train=TrainRecipe(**bad)), DATA, tmp_path / "run", quiet)


def test_one_cycle_rises_to_its_peak_and_falls_to_nearly_nothing() -> None:
    rates = [one_cycle(step, 100, 0.01) for step in range(100)]
    assert rates[0] == pytest.approx(0.01 / 25)
    assert max(rates) == pytest.approx(0.01)
    assert rates.index(max(rates)) == 29
    assert rates[-1] == pytest.approx(0.01 / 1e5)
    assert rates[:30] == sorted(rates[:30])
    assert rates[29:] == sorted(rates[29:], reverse=True)
    assert all(0 < one_cycle(0, steps, 0.01) <= 0.01 for steps in (1, 2, 3))
