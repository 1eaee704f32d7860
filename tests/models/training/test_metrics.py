"""The challenge's score, UAR and AUC against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinyml.core.recording_processor import RecordingProcessor
from tinyml.models.training.metrics import (
    area_under_curve,
    confusion,
    subject_metrics,
    unweighted_average_recall,
    weighted_accuracy,
)
from tinyml.models.training.thresholds import choose_thresholds

LABELS = ("Present", "Unknown", "Absent")
PROCESSOR = RecordingProcessor(labels=LABELS, window=10, hop=10, rate_hz=10)


def test_rows_of_the_confusion_are_truths() -> None:
    assert confusion([0, 0, 2], [0, 1, 2], 3).tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_weighted_accuracy_is_the_challenges() -> None:
    counts = np.array([[3, 1, 0], [1, 1, 0], [2, 0, 8]])
    want = (5 * 3 + 3 * 1 + 1 * 8) / (5 * 4 + 3 * 2 + 1 * 10)
    assert weighted_accuracy(counts, LABELS) == pytest.approx(want)
    assert weighted_accuracy(counts, ("a", "b", "c")) == pytest.approx(12 / 16)


def test_always_absent_wins_plain_accuracy_and_neither_of_ours() -> None:
    counts = np.array([[0, 0, 179], [0, 0, 68], [0, 0, 695]])
    assert np.trace(counts) / counts.sum() > 0.7
    assert unweighted_average_recall(counts) == pytest.approx(1 / 3)
    assert weighted_accuracy(counts, LABELS) < 0.4


def test_uar_leaves_out_a_label_that_nobody_has() -> None:
    assert unweighted_average_recall(np.array([[1, 1, 0], [0, 0, 0], [0, 0, 5]])) == 0.75


def test_auc_counts_ties_half_and_needs_both_sides() -> None:
    assert area_under_curve(np.array([0.9, 0.5]), np.array([0.5, 0.1])) == pytest.approx(3.5 / 4)
    assert area_under_curve(np.array([0.1]), np.array([0.9])) == 0.0
    assert area_under_curve(np.array([]), np.array([0.9])) is None


def test_auc_is_the_share_of_pairs_that_are_in_order() -> None:
    random = np.random.default_rng(0)
    for sizes in ((1, 1), (7, 3), (40, 25)):
        positives, negatives = (random.integers(0, 9, size).astype(float) for size in sizes)
        pairs = positives[:, None] - negatives[None, :]
        share = np.mean((pairs > 0) + 0.5 * (pairs == 0))
        assert area_under_curve(positives, negatives) == pytest.approx(share, abs=1e-12)


def test_subjects_are_judged_by_the_decisions_thresholds() -> None:
    probabilities = {
        "a": np.array([0.3, 0.1, 0.6], np.float32),
        "b": np.array([0.1, 0.3, 0.6], np.float32),
        "c": np.array([0.1, 0.1, 0.8], np.float32),
    }
    truths = {"a": 0, "b": 1, "c": 2, "not asked": 0}
    plain = subject_metrics(PROCESSOR, truths, probabilities)
    assert plain.uar == pytest.approx(1 / 3)
    tuned = RecordingProcessor(LABELS, 10, 10, 10, thresholds=(0.2, 0.2))
    found = subject_metrics(tuned, truths, probabilities)
    assert (found.persons, found.uar, found.weighted_accuracy) == (3, 1.0, 1.0)
    assert found.auc_worst_label == 1.0
    assert found.recall == {"Present": 1.0, "Unknown": 1.0, "Absent": 1.0}


@pytest.mark.parametrize("classes", [2, 3, pytest.param(5, marks=pytest.mark.slow)])
def test_chosen_thresholds_part_what_argmax_does_not(classes: int) -> None:
    random = np.random.default_rng(classes)
    truths, probabilities = {}, {}
    for subject in range(20 * classes):
        label = subject % classes
        row = random.uniform(0.0, 0.08, classes)
        if label < classes - 1:
            row[label] = random.uniform(0.3, 0.34)
        row[-1] = 1 - row[:-1].sum()
        truths[str(subject)], probabilities[str(subject)] = label, row.astype(np.float32)
    labels = tuple("abcde"[:classes])
    plain = RecordingProcessor(labels, 10, 10, 10)
    thresholds = choose_thresholds(plain, truths, probabilities)
    tuned = RecordingProcessor(labels, 10, 10, 10, thresholds=thresholds)
    assert subject_metrics(plain, truths, probabilities).uar < 0.9
    assert subject_metrics(tuned, truths, probabilities).uar == 1.0
    assert thresholds == choose_thresholds(plain, truths, probabilities)


def test_a_chosen_threshold_is_the_middle_of_its_plateau() -> None:
    plain = RecordingProcessor(("bad", "good"), 10, 10, 10)
    truths = {str(subject): subject % 2 for subject in range(20)}
    probabilities = {
        subject: np.array([0.9, 0.1] if label == 0 else [0.1, 0.9], np.float32)
        for subject, label in truths.items()
    }
    (threshold,) = choose_thresholds(plain, truths, probabilities)
    assert threshold == pytest.approx(0.5, abs=0.05)
