"""Accuracy, its interval and recall of image labels, against values from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from tinyml.models.training.image_metrics import image_metrics, wilson_interval


def test_accuracy_recall_and_confusion_are_counted() -> None:
    found = image_metrics(("a", "b", "c"), np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    assert (found.images, found.accuracy) == (4, 0.75)
    assert found.recall == {"a": 0.5, "b": 1.0, "c": None}
    assert found.confusion == ((1, 1, 0), (0, 2, 0), (0, 0, 0))


@pytest.mark.parametrize("right", [0, 1, 7, 81, 99, 100])
def test_the_interval_solves_the_score_equation(right: int) -> None:
    low, high = wilson_interval(right, 100)
    assert 0 <= low <= right / 100 <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            distance = abs(right / 100 - end) / np.sqrt(end * (1 - end) / 100)
            assert distance == pytest.approx(1.959963984540054, abs=1e-12)


def test_the_interval_is_known_for_one_example() -> None:
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
