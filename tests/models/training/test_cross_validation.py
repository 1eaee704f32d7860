"""Cross-validation judges every subject once, by a model that never saw them."""

from __future__ import annotations

import json
from collections.abc import Callable
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
    Stop,
    content,
    quiet,
)

from tinyml.core import checkpoint
from tinyml.core.errors import CheckpointError
from tinyml.core.events import Event
from tinyml.models.data.recordings import subject_labels
from tinyml.models.training.cross_validation import cross_validate, fold_file
from tinyml.models.training.predict import by_subject, predict_recordings
from tinyml.models.training.recordings import train
from tinyml.models.training.run import classify_windows, load_module


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a whole cross-validation, and what it found."""
    folder = tmp_path_factory.mktemp("folds")
    return folder, cross_validate(SMALL, RECIPE, DATA, 3, folder, quiet)


def test_what_begins_with_a_folds_model_holds_out_that_fold(
    folds: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    for number in (1, 2):
        parent = checkpoint.load(folds[0] / fold_file(number))
        made = train(SMALL, RECIPE, DATA, tmp_path / f"from-{number}", quiet, parent)
        assert made.facts["split"] == parent.facts["split"]
        assert made.processor.thresholds == parent.processor.thresholds


def test_folds_answer_every_subject_once_and_continue_after_a_stop(
    folds: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    whole, result = folds
    assert set(result["persons"]) == set(subject_labels(DATA))
    assert {row["fold"] for row in result["persons"].values()} == {1, 2, 3}
    assert sum(row["persons"] for row in result["folds"]) == result["pooled"]["persons"] == 24
    assert all(len(row["thresholds"]) == 2 for row in result["folds"])
    for count in (0, 30, len(DATA.recordings) + 4, len(DATA.recordings) + 14):
        with pytest.raises(KeyboardInterrupt):
            cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "b", Stop(count))
    assert cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "b", quiet) == result
    assert content(tmp_path / "b") == content(whole)
    models = ["fold-1.safetensors", "fold-2.safetensors", "fold-3.safetensors"]
    assert sorted(content(whole)) == [*models, "folds.json"]
    assert json.loads((whole / "folds.json").read_text()) == result
    said: list[Event] = []
    assert cross_validate(SMALL, RECIPE, DATA, 3, whole, said.append) == result
    assert len(said) == 1


def test_each_folds_model_stays_and_gives_what_its_subjects_were_answered(
    folds: tuple[Path, dict[str, Any]],
) -> None:
    whole, result = folds
    for number, row in enumerate(result["folds"], 1):
        saved = checkpoint.load(whole / fold_file(number))
        own = {p: told for p, told in result["persons"].items() if told["fold"] == number}
        assert set(saved.facts["split"]["validation"]) == set(own)
        assert list(saved.processor.thresholds) == row["thresholds"]
        recordings = [r for r in DATA.recordings if r.subject in own]
        answer = classify_windows(load_module(SMALL, saved))
        found = predict_recordings(answer, saved.processor, recordings)
        subjects = by_subject(saved.processor, [r.subject for r in recordings], found)
        for subject, told in own.items():
            assert subjects[subject].tolist() == pytest.approx(told["probabilities"], abs=1e-6)
            assert saved.processor.postprocess(subjects[subject]) == told["answer"]


def test_a_finished_cross_validation_is_not_replaced_by_another(
    folds: tuple[Path, dict[str, Any]],
) -> None:
    whole, _ = folds
    before = content(whole)
    other = replace(RECIPE, seed=RECIPE.seed + 1)
    for recipe, count, what in ((RECIPE, 2, "number of folds"), (other, 3, "recipe")):
        with pytest.raises(CheckpointError, match=f"another {what}"):
            cross_validate(SMALL, recipe, DATA, count, whole, quiet)
    assert content(whole) == before


def test_a_lost_model_of_a_fold_is_trained_again(
    folds: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "b", _until("fold 2/3"))
    (tmp_path / "b" / fold_file(1)).unlink()
    cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "b", quiet)
    assert content(tmp_path / "b") == content(folds[0])


def _until(title: str) -> Callable[[Event], None]:
    """A `Report` that interrupts at the first event of ``title``."""

    def report(event: Event) -> None:
        if getattr(event, "title", "") == title:
            raise KeyboardInterrupt

    return report


def test_a_subjects_own_label_does_not_move_the_model_that_judges_them(
    folds: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, result = folds
    judged = [subject for subject, row in result["persons"].items() if row["fold"] == 1]
    relabelled = tuple(
        replace(r, load=lambda: (np.ones(500, np.float32), RATE)) if r.subject in judged else r
        for r in DATA.recordings
    )
    other = cross_validate(
        SMALL, RECIPE, replace(DATA, recordings=relabelled), 3, tmp_path / "b", quiet
    )
    assert other["folds"][0]["thresholds"] == result["folds"][0]["thresholds"]
