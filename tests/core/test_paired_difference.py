"""Paired intervals against answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinyml.core.paired_difference import paired_difference
from tinyml.models.training.metrics import average_recall, share_right

TRUTHS = np.arange(300) % 3
# The first 30 of 300 get another label.
MOVED = np.where(np.arange(300) < 30, (TRUTHS + 1) % 3, TRUTHS)


def test_labels_that_do_not_differ_have_no_interval() -> None:
    wants = np.zeros_like(TRUTHS)
    found = paired_difference(average_recall, TRUTHS, wants, wants, 3)
    assert found.want == found.got == pytest.approx(1 / 3)
    assert (found.low, found.high) == (0.0, 0.0)
    assert found.points == "+0.00 (+0.00 to +0.00)"


def test_a_loss_of_a_tenth_has_the_binomials_interval() -> None:
    found = paired_difference(share_right, TRUTHS, TRUTHS, MOVED, 3)
    assert (found.want, found.got) == (1.0, 0.9)
    half = 1.96 * (0.1 * 0.9 / 300) ** 0.5
    assert found.low == pytest.approx(-0.1 - half, abs=0.006)
    assert found.high == pytest.approx(-0.1 + half, abs=0.006)


def test_before_and_after_exchanged_change_the_sign() -> None:
    lost = paired_difference(average_recall, TRUTHS, TRUTHS, MOVED, 3)
    won = paired_difference(average_recall, TRUTHS, MOVED, TRUTHS, 3)
    assert (won.low, won.high) == pytest.approx((-lost.high, -lost.low))
    assert paired_difference(average_recall, TRUTHS, TRUTHS, MOVED, 3) == lost


def test_labels_that_moved_both_ways_leave_zero_inside() -> None:
    wants = np.where(np.arange(300) < 30, (TRUTHS + 1) % 3, TRUTHS)
    gots = np.where(np.arange(300) >= 270, (TRUTHS + 1) % 3, TRUTHS)
    found = paired_difference(share_right, TRUTHS, wants, gots, 3)
    assert found.want == found.got
    assert found.low < 0.0 < found.high


def test_a_label_that_no_draw_has_does_not_count() -> None:
    truths = np.array([0] * 50 + [2])
    found = paired_difference(average_recall, truths, truths, np.zeros_like(truths), 3)
    assert (found.want, found.got) == (1.0, 0.5)
    # Drawn with the last one or without it: half of the recalls lost, or none.
    assert (found.low, found.high) == (-0.5, 0.0)


def test_labels_of_several_models_are_drawn_with_their_person() -> None:
    # Every model moves the same persons: asking more of them tells nothing new.
    again = [np.repeat(labels[:, None], 3, axis=1) for labels in (TRUTHS, TRUTHS, MOVED)]
    assert paired_difference(share_right, *again, 3) == paired_difference(
        share_right, TRUTHS, TRUTHS, MOVED, 3
    )
    # Each moves others: a third of the mean's variance is left, less what persons share.
    others = np.stack([np.roll(MOVED - TRUTHS, 100 * turn) for turn in range(3)], axis=1)
    apart = again[0] + others
    found = paired_difference(share_right, again[0], again[0], apart, 5)
    half = 1.96 * (1 / 3) * (0.3 * 0.7 / 300) ** 0.5
    assert (found.want, found.got) == (1.0, pytest.approx(0.9))
    assert found.low == pytest.approx(-0.1 - half, abs=0.004)
