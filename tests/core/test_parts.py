"""Quantities of different size in one tensor are seen, and judged apart."""

from __future__ import annotations

import numpy as np
import pytest

from tinyml.core.parts import Joined, channel_axis, magnitudes, parts_of
from tinyml.core.tolerance import POLICIES, PolicyName

RNG = np.random.default_rng(0)
BOXES = 320 * RNG.random((1, 4, 256))
SCORES = 0.06 * RNG.random((1, 3, 256))
BOTH = np.concatenate([BOXES, SCORES], axis=1).astype(np.float32)
JOINED = Joined(1, (0, 0, 0, 0, 1, 1, 1))
POLICY_NAMES = list(POLICIES)


@pytest.mark.parametrize("policy", POLICY_NAMES)
@pytest.mark.parametrize("wrong", [0.0, 2.0, -1.0])
def test_wrong_scores_next_to_boxes_are_refused(policy: PolicyName, wrong: float) -> None:
    got = BOTH.copy()
    got[:, 4:] *= wrong
    boxes, scores = parts_of([BOTH], [JOINED], split=False)
    assert POLICIES[policy].accepts_part(got, BOTH, boxes)
    assert not POLICIES[policy].accepts_part(got, BOTH, scores)


def test_the_whole_alone_would_accept_them() -> None:
    got = BOTH.copy()
    got[:, 4:] = 0.0
    assert POLICIES["int8"].accepts(got, BOTH)


def test_parts_are_named_by_their_places() -> None:
    boxes, scores = parts_of([BOTH], [JOINED], split=False)
    assert (str(boxes), str(scores)) == ("0-3 of axis 1", "4-6 of axis 1")
    (one, _) = parts_of([BOTH], [Joined(1, (0, 1, 0, 1, 1, 1, 0))], split=False)
    assert str(one) == "0, 2, 6 of axis 1"


def test_a_part_has_the_size_that_it_takes_over_all_cases() -> None:
    quiet = BOTH * np.float32(1e-3)
    (part, _) = parts_of([quiet, BOTH], [JOINED], split=False)
    assert part.peak == part.span == BOTH[:, :4].max()
    assert part.power == pytest.approx(np.mean(BOTH[:, :4].astype(float) ** 2) / 2, rel=1e-3)


def test_channels_of_another_order_are_seen_without_a_join() -> None:
    assert magnitudes([BOTH]) == Joined(1, (0, 0, 0, 0, 2, 2, 2))
    assert len(parts_of([BOTH], [], split=True)) == 2
    assert parts_of([BOTH], [JOINED], split=True) == parts_of([BOTH], [JOINED], split=False)


@pytest.mark.parametrize(
    "values",
    [
        BOTH[:, :4],  # of one order
        BOTH / np.float32(320.0),  # probabilities: a rare class is not another quantity
        BOTH[:, :, :8],  # too few values to tell
        BOTH.astype(np.int32),
    ],
)
def test_what_is_of_one_kind_or_unknown_is_not_split(values: np.ndarray) -> None:
    assert magnitudes([values]) is None


def test_many_samples_tell_of_a_vector() -> None:
    vectors = [np.array([[3000.0 * RNG.random(), 0.3 * RNG.random()]], "f") for _ in range(16)]
    assert magnitudes(vectors) == Joined(1, (0, 2))
    assert magnitudes(vectors[:15]) is None


def test_a_channel_that_is_always_zero_is_no_small_quantity() -> None:
    silent = BOTH.copy()
    silent[:, 4:] = 0.0
    assert magnitudes([silent]) is None


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1, 7, 256), 1),
        ((1, 2100, 84), 2),
        ((1, 3, 32, 32), 1),
        ((1, 10), 1),
        ((1, 1, 48, 64), None),  # rows of an image
        ((1, 24000), None),
        ((1, 1), None),
        ((), None),
    ],
)
def test_channels_are_the_axis_that_is_clearly_shortest(
    shape: tuple[int, ...], axis: int | None
) -> None:
    assert channel_axis(shape) == axis


def test_a_difference_of_large_numbers_may_be_off_by_their_rounding() -> None:
    want = np.array([[300.0, 1e-6]], np.float32)
    got = want + np.array([[0.0, 3e-5]], np.float32)
    (_, small) = parts_of([want], [Joined(1, (0, 1))], split=False)
    assert POLICIES["engine"].accepts_part(got, want, small)
    assert not POLICIES["bitwise"].accepts_part(got, want, small)


def test_few_or_silent_values_take_their_size_from_the_other_cases() -> None:
    few = np.array([[0.001, 20.0]], np.float32)
    others = [np.array([[0.5, 30.0]], np.float32)]
    steer, speed = parts_of([few], [Joined(1, (0, 1))], split=False, others=others)
    assert (steer.peak, speed.peak) == (0.5, 30.0)
    silent = BOTH.copy()
    silent[:, 4:] = 0.0
    assert len(parts_of([silent], [JOINED], split=False)) == 1
    assert len(parts_of([silent], [JOINED], split=False, others=[BOTH])) == 2


def test_empty_tensors_and_cases_of_other_shapes_have_no_parts() -> None:
    assert parts_of([np.zeros((1, 0, 6), np.float32)], [Joined(2, (0,) * 6)], split=True) == ()
    assert magnitudes([BOTH, BOTH[:, :, :128]]) is None
