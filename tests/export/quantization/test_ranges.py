"""Each method's range on distributions whose answer is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinyml.core.errors import InputError
from tinyml.core.spec import Array
from tinyml.export.quantization.calibration import BINS, choose_ranges
from tinyml.export.quantization.ranges import (
    LEVELS,
    METHODS,
    Histogram,
    Range,
    entropy,
    mse,
    percentile,
)

SHRINKING = ("percentile", "mse", "entropy")


def histogram(values: Array) -> Histogram:
    """Of all of ``values``."""
    low, high = float(values.min()), float(values.max())
    return Histogram(low, high, np.histogram(values, BINS, (low, high))[0])


def noise(count: int = 200_000) -> Array:
    """Normal, seeded."""
    return np.asarray(np.random.default_rng(0).standard_normal(count))


def rounding_error(values: Array, within: Range) -> float:
    """Mean square error of ``values`` in eight bits over ``within``, by its definition."""
    step = (within.high - within.low) / (LEVELS - 1)
    return float(np.mean((np.clip(np.round(values / step) * step, *_ends(within)) - values) ** 2))


def _ends(within: Range) -> tuple[float, float]:
    return within.low, within.high


@pytest.mark.parametrize("method", SHRINKING)
def test_one_outlier_does_not_set_the_range(method: str) -> None:
    values = np.append(noise(), 40.0)
    choose = METHODS[method]
    assert choose is not None
    found = choose(histogram(values))
    assert 2.0 < found.high < 39.0
    everything = Range(float(values.min()), float(values.max()))
    assert rounding_error(values[:-1], found) < rounding_error(values[:-1], everything)


@pytest.mark.parametrize("method", SHRINKING)
def test_a_uniform_distribution_keeps_its_ends(method: str) -> None:
    values = np.random.default_rng(0).uniform(-1, 3, 200_000)
    choose = METHODS[method]
    assert choose is not None
    found = choose(histogram(values))
    assert found.low == pytest.approx(-1, abs=0.06)
    assert found.high == pytest.approx(3, abs=0.06)


def test_a_histogram_that_counts_nothing_keeps_its_ends() -> None:
    assert percentile(Histogram(2.0, 2.0, np.zeros(BINS, np.int64))) == Range(2.0, 2.0)


def test_mse_is_least_among_other_cuts() -> None:
    values = np.append(noise(), 12.0)
    found = mse(histogram(values))
    best = rounding_error(values, found)
    for scale in (0.5, 0.8, 1.2, 1.5):
        other = Range(found.low, scale * found.high)
        assert best <= rounding_error(values, other) * 1.02


def test_percentile_cuts_its_share_at_both_ends() -> None:
    found = percentile(histogram(noise()))
    assert -4.5 < found.low < -3.3
    assert 3.3 < found.high < 4.5


def test_many_zeros_of_a_relu_say_nothing_to_entropy() -> None:
    values = noise()
    rectified = np.concatenate([np.maximum(values, 0), np.zeros(2_000_000)])
    assert entropy(histogram(rectified)).high > 2.0


def samples(*arrays: Array) -> Iterator[dict[str, Array]]:
    """One tensor called x."""
    yield from ({"x": array, "count": np.array([7])} for array in arrays)


def test_min_max_takes_the_ends_over_all_samples_of_floats_alone() -> None:
    low, high = np.array([1.0, -2.0]), np.array([3.0, 0.5])
    found = choose_ranges("min-max", samples(low, high), samples())
    assert found == {"x": Range(-2.0, 3.0)}


@pytest.mark.parametrize("method", SHRINKING)
def test_a_second_look_fills_histograms_between_the_ends(method: str) -> None:
    values = np.append(noise(), 40.0)
    parts = np.array_split(values, 7)
    choose = METHODS[method]
    assert choose is not None
    found = choose_ranges(method, samples(*parts), samples(*parts))
    assert found["x"] == choose(histogram(values))


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_has_the_range_of_its_value(method: str) -> None:
    same = np.full(5, 2.0)
    assert choose_ranges(method, samples(same), samples(same)) == {"x": Range(2.0, 2.0)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ends", [(1.0, 1.00001), (-3e38, 3e38)])
def test_ends_that_float32_cannot_divide_have_a_range(
    method: str, ends: tuple[float, float]
) -> None:
    values = np.array(ends, np.float32)
    found = choose_ranges(method, samples(values), samples(values))["x"]
    assert float(values[0]) <= found.low < found.high <= float(values[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_with_its_sample_and_name(bad: float) -> None:
    with pytest.raises(InputError, match="calibration sample 2 makes 'x' not finite"):
        choose_ranges("min-max", samples(np.ones(3), np.array([1.0, bad])), samples())


@pytest.mark.parametrize("method", METHODS)
def test_minus_infinity_of_a_pad_counts_for_nothing(method: str) -> None:
    values = np.array([-np.inf, 1.0, 2.0, -np.inf])
    found = choose_ranges(method, samples(values), samples(values), padded={"x"})["x"]
    assert 1.0 <= found.low < found.high <= 2.0


def test_a_sequence_of_tensors_has_no_range() -> None:
    sequence: Any = {"x": [np.ones(2)], "y": np.array([1.0, 2.0])}
    assert choose_ranges("min-max", [sequence], []) == {"y": Range(1.0, 2.0)}


def test_no_samples_are_refused() -> None:
    with pytest.raises(InputError, match="holds no samples"):
        choose_ranges("min-max", samples(), samples())
