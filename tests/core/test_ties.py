"""Values at the chosen places: a place that the numbers allow is right, another one is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinyml.core.spec import Array
from tinyml.core.ties import NO_AXIS, Ties
from tinyml.export import parity

NUMBERS = np.array([[0.1, 0.9, -0.4, 0.900001, 0.3, -0.8]], np.float32)
BOXES = np.arange(24.0, dtype=np.float32).reshape(1, 6, 4)
PLACES = Ties(NUMBERS, NUMBERS[:, [3, 1]], np.arange(6)[None, :, None], axis=1)
OF_BOXES = replace(PLACES, table=BOXES)


def verdict(ties: Ties, want: Array, got: Array, policy: str = "engine") -> str:
    arguments = ("litert", "random", {"y": want}, {"y": got}, ["y"], policy)
    (row,) = parity.compare(*arguments, ties={"y": ties})  # type: ignore[arg-type]
    return row.verdict


@pytest.mark.parametrize(
    ("places", "wanted"),
    [([3, 1], "pass"), ([1, 3], "pass"), ([3, 3], "fail"), ([3, 4], "fail"), ([0, 1], "fail")],
)
def test_either_order_of_a_tie_holds_and_another_place_or_one_twice_does_not(
    places: list[int], wanted: str
) -> None:
    assert verdict(PLACES, np.array([[3, 1]]), np.array([places])) == wanted
    if places != [3, 3]:  # a box may be that of another: it is its place that must not come twice
        assert verdict(OF_BOXES, BOXES[:, [3, 1]], BOXES[:, places]) == wanted


def test_a_place_is_exact_and_what_stands_there_is_within_tolerance() -> None:
    near = BOXES[:, [1, 3]] * np.float32(1 + 1e-5)
    assert verdict(OF_BOXES, BOXES[:, [3, 1]], near) == "pass"
    assert verdict(OF_BOXES, BOXES[:, [3, 1]], near * np.float32(1.01)) == "fail"
    assert verdict(OF_BOXES, BOXES[:, [3, 1]], near + np.float32(np.nan)) == "fail"
    assert verdict(OF_BOXES, BOXES[:, [3, 1]], near[:, :1]) == "fail"


def test_integers_of_eight_bits_may_choose_what_they_round_together_and_nothing_else() -> None:
    """38 steps of 1.7 / 255, twice: 0.51."""
    assert verdict(PLACES, np.array([[3, 1]]), np.array([[1, 3]]), "int8") == "pass"
    assert verdict(PLACES, np.array([[3, 1]]), np.array([[3, 4]]), "int8") == "fail"
    close = replace(PLACES, numbers=np.where(NUMBERS == 0.3, 0.5, NUMBERS).astype(np.float32))
    assert verdict(close, np.array([[3, 1]]), np.array([[3, 4]]), "int8") == "pass"


def test_each_row_of_an_image_of_classes_has_its_own_choice() -> None:
    numbers = np.array([[0.5, 0.5, 0.1], [0.9, 0.2, 0.1]], np.float32)
    classes = Ties(numbers, numbers[:, :1], np.arange(3)[None, :, None], NO_AXIS)
    for got, wanted in (([0, 0], "pass"), ([1, 0], "pass"), ([2, 0], "fail"), ([0, 1], "fail")):
        assert verdict(classes, np.array([[0, 0]]), np.array([got])) == wanted


def test_ties_of_another_shape_do_not_fit() -> None:
    assert PLACES.fits((1, 2))
    assert OF_BOXES.fits((1, 2, 4))
    for ties, shape in (
        (PLACES, (1, 3)),
        (PLACES, (2,)),
        (replace(PLACES, axis=0), (1, 2)),
        (replace(PLACES, axis=7), (1, 2)),
        (replace(PLACES, axis=NO_AXIS), (1, 2)),
        (replace(PLACES, numbers=NUMBERS[0]), (1, 2)),
        (replace(PLACES, table=BOXES[:, :5]), (1, 2)),
        (replace(PLACES, chosen=np.zeros((2, 2))), (1, 2)),
    ):
        assert not ties.fits(shape)
