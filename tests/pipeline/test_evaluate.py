"""Evaluating recordings: the truth is training's, and data that training did not see is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import DataError
from tinyml.core.processor import Floats
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.training_record import Split, SubjectMetrics, TrainingRecord
from tinyml.models.data.recordings import Recording, RecordingSet, subject_labels
from tinyml.pipeline import evaluate
from tinyml.pipeline.model_sources import calibration

PROCESSOR = RecordingProcessor(labels=("Present", "Absent"), window=4, hop=4, rate_hz=4000)
RECIPE = Recipe(name="r", model="m")
SIGNATURE = Signature((TensorSpec("audio", (1, 4)),), (TensorSpec("probabilities", (1, 2)),))
RECORD = TrainingRecord(
    data_set="hearts",
    data_sha256="as trained",
    threads=1,
    instruction_set="AVX2",
    parameters=1,
    validation=SubjectMetrics(2, 1.0, 1.0, 1.0, {}, ()),
    curve=(),
    curves={},
    left_out=("a 2",),
    split=Split(("a", "b"), ""),
)


def sound() -> tuple[Floats, int]:
    return np.ones(8, np.float32), 4000


def recording(person: str, number: int, label: int) -> Recording:
    return Recording(f"{person} {number}", person, label, sound)


# Person a is Present by a recording that is too short to be used.
HEARD = RecordingSet(
    name="hearts",
    labels=PROCESSOR.labels,
    recordings=(recording("a", 1, 1), recording("a", 2, 0), recording("b", 1, 1)),
    warnings=(),
    sha256="as trained",
)


def answer(windows: Floats) -> Floats:
    return np.tile(np.array([0.9, 0.1], np.float32), (len(windows), 1))


def evaluated(
    monkeypatch: pytest.MonkeyPatch, found: RecordingSet
) -> tuple[dict[str, Any], list[str]]:
    """The result, and what was reported."""
    opened = evaluate.Opened(PROCESSOR, RECIPE, RECORD, answer)
    monkeypatch.setattr(evaluate, "_checkpoint", lambda *_: opened)
    monkeypatch.setattr(evaluate, "recording_set", lambda *_: found)
    told: list[str] = []
    result = evaluate.evaluate(
        Path("run"),
        part="validation",
        data=None,
        runtime=None,
        report=lambda event: told.append(getattr(event, "text", "")),
    )
    return result, [line for line in told if line]


def test_a_persons_truth_is_the_one_that_training_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all of their recordings, those too that are left out."""
    result, told = evaluated(monkeypatch, HEARD)
    assert subject_labels(HEARD) == {"a": 0, "b": 1}
    assert result.metrics.recall == {"Present": 1.0, "Absent": 0.0}
    assert result.metrics.persons == 2
    assert [row.id for row in result.recordings] == ["a 1", "b 1"]
    assert told == []


def test_data_that_training_did_not_see_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _, told = evaluated(monkeypatch, replace(HEARD, sha256="another"))
    assert told == ["warning: this is not the data that the model was trained on"]


def test_other_labels_and_a_set_without_the_subjects_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(DataError, match="'hearts' has the classes Absent, Present"):
        evaluated(monkeypatch, replace(HEARD, labels=("Absent", "Present")))
    strangers = tuple(replace(own, subject=f"other {own.subject}") for own in HEARD.recordings)
    with pytest.raises(DataError, match="none of the 2 subjects of the validation set"):
        evaluated(monkeypatch, replace(HEARD, recordings=strangers))


def test_ranges_are_not_chosen_on_data_that_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold the validation set, under another name."""
    saved = Checkpoint("m", SIGNATURE, PROCESSOR, RECIPE, replace(RECORD, left_out=()), {})
    monkeypatch.setattr(calibration, "recording_set", lambda *_: seen)
    seen = replace(HEARD, recordings=(*HEARD.recordings, recording("c", 1, 0)))
    assert len(calibration.of_training(saved, None, 4, print)) == 2
    seen = replace(seen, sha256="another")
    with pytest.raises(DataError, match="'hearts' has changed") as caught:
        calibration.of_training(saved, None, 4, print)
    assert "calibration=" in caught.value.hint
