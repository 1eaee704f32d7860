"""Intervals of metrics against published values, and curves against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinyml.models.training.intervals import (
    area_estimate,
    average_recall_estimate,
    recall_estimates,
    share_estimate,
    weighted_accuracy_estimate,
)
from tinyml.models.training.metrics import area_under_curve, weighted_accuracy
from tinyml.models.training.score_curves import reliability, roc_curves

LABELS = ("Present", "Unknown", "Absent")
COUNTS = np.array([[8, 1, 1], [2, 5, 3], [0, 0, 20]])


def test_metrics_are_those_of_evaluation_and_lie_in_their_intervals() -> None:
    recalls = recall_estimates(LABELS, COUNTS)
    uar, weighted = average_recall_estimate(recalls), weighted_accuracy_estimate(recalls)
    assert uar.value == pytest.approx((0.8 + 0.5 + 1.0) / 3)
    assert weighted.value == pytest.approx(weighted_accuracy(COUNTS, LABELS))
    for own in (*recalls, uar, weighted):
        assert 0 <= own.low < own.value <= own.high <= 1
        assert own.low < 1


def test_an_average_is_surer_than_its_parts() -> None:
    recalls = recall_estimates(LABELS, np.eye(3, dtype=int) * 10)
    uar = average_recall_estimate(recalls)
    assert uar.value == uar.high == 1
    assert recalls[0].low < uar.low < 1
    assert uar.low == pytest.approx(1 - (1 - recalls[0].low) / 3**0.5)


def test_a_label_without_samples_has_no_recall() -> None:
    counts = COUNTS.copy()
    counts[1] = 0
    assert [own.name for own in recall_estimates(LABELS, counts)] == ["Present", "Absent"]


def test_an_area_has_an_interval_even_where_it_is_perfect() -> None:
    half, whole = area_estimate("x", 0.5, 40, 40), area_estimate("x", 1.0, 6, 12)
    assert half.low == pytest.approx(1 - half.high, abs=1e-6)
    # Hanley & McNeil's standard error of 0.5 is about 0.065 here.
    assert half.high - half.low == pytest.approx(2 * 1.96 * 0.065, rel=0.06)
    assert whole.high == 1.0
    assert 0.6 < whole.low < 0.95
    assert area_estimate("x", 0.0, 6, 12).low == 0.0


def test_the_interval_of_an_area_covers_the_truth() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(300):
        above, below = generator.normal(1.0, size=25), generator.normal(size=50)
        area = area_under_curve(above, below)
        assert area is not None
        found = area_estimate("x", area, 25, 50)
        inside += found.low <= 0.7602 <= found.high  # of normal scores one deviation apart
    assert 0.92 < inside / 300 < 0.99


def test_a_roc_curve_goes_by_thresholds_and_ties_are_one_step() -> None:
    truths = np.array([0, 0, 1, 1])
    scores = np.array([0.9, 0.5, 0.5, 0.1])
    (curve,) = roc_curves(("a", "b"), truths, np.stack([scores, 1 - scores], axis=1))
    assert curve.false_positive == (0.0, 0.0, 0.5, 1.0)
    assert curve.true_positive == (0.0, 0.5, 1.0, 1.0)
    assert curve.area.value == 0.875
    assert roc_curves(("a", "b"), np.zeros(4, int), np.ones((4, 2))) == ()


def test_a_long_curve_keeps_its_ends_and_its_area() -> None:
    generator = np.random.default_rng(0)
    truths = generator.integers(3, size=3000)
    scores = generator.dirichlet(np.ones(3), size=3000)
    for curve in roc_curves(("a", "b", "c"), truths, scores):
        assert len(curve.false_positive) <= 101
        assert (curve.false_positive[0], curve.true_positive[-1]) == (0.0, 1.0)
        area = np.trapezoid(curve.true_positive, curve.false_positive)
        assert area == pytest.approx(curve.area.value, abs=0.01)


def test_reliability_of_a_model_that_is_too_sure() -> None:
    truths = np.arange(100) % 2
    scores = np.tile([0.9, 0.1], (100, 1))
    bins, distance = reliability(truths, scores)
    assert len(bins) == 10
    assert {round(own.right.value, 3) for own in bins} == {0.5}
    assert distance == pytest.approx(0.4)
    assert len(reliability(truths[:7], scores[:7])[0]) == 1


def test_a_share_is_never_certain() -> None:
    assert share_estimate("x", 10, 10).low == pytest.approx(0.722, abs=1e-3)
