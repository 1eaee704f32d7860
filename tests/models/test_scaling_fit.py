"""The frontier, and curves that are found again from noisy points of a known law."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tinyml.core.errors import DataError, MissingExtraError
from tinyml.models.plans import count_plan_macs
from tinyml.models.scaling import BASE_MACS, PUBLISHED, Budget, scale, tinynet_plan
from tinyml.models.scaling_fit import Point, fit, frontier, read_points

NOISE_R, NOISE_D = 0.02, 0.04


def measured(count: int, seed: int) -> list[Point]:
    """Networks on the published curves with noise, and three worse ones beside each."""
    generator = np.random.default_rng(seed)
    points = []
    for x in np.linspace(-4.0, 0.0, count):
        ratio = 2.0**x
        side = 224 * (PUBLISHED.resolution(ratio) + generator.normal(0, NOISE_R))
        depth = PUBLISHED.depth(ratio) + generator.normal(0, NOISE_D)
        best = Point(side, depth, 1.0, 75 + 4 * x, ratio * BASE_MACS)
        points.append(best)
        for _ in range(3):
            worse = generator.uniform(3, 10)
            points.append(Point(100, 3.0, 0.2, best.accuracy - worse, best.macs * 1.001))
    return points


def test_the_frontier_is_what_nothing_beats_in_cost_and_accuracy() -> None:
    def point(macs: float, accuracy: float) -> Point:
        return Point(100, 1, 1, accuracy, macs)

    best = [point(10, 50), point(20, 60), point(40, 61)]
    beaten = [point(20, 59), point(30, 60), point(50, 55)]
    assert frontier([*beaten, *best]) == best


def test_frontiers_behind_the_first_are_added_up_to_a_fifth_of_the_points() -> None:
    points = [Point(100, 1, 1, 60 - n, 10 + n) for n in range(20)]
    assert frontier(points) == points[:4]


def test_known_curves_are_found_again_and_the_band_covers_points_outside_of_the_fit() -> None:
    curves = fit(measured(40, seed=0))
    assert len(curves.frontier) == 40
    for x in np.linspace(-3.8, -0.2, 15):
        ratio = 2.0**x
        assert curves.resolution(ratio) == pytest.approx(PUBLISHED.resolution(ratio), abs=0.025)
        assert curves.depth(ratio) == pytest.approx(PUBLISHED.depth(ratio), abs=0.05)
    # 95% of 40 points: fewer than 34 inside has a chance below 1%.
    for found in curves.out_of_fold.values():
        assert found.points == 40
        assert 34 <= found.inside <= 40
    assert curves.out_of_fold["r"].rms == pytest.approx(NOISE_R, rel=0.4)
    assert curves.out_of_fold["d"].rms == pytest.approx(NOISE_D, rel=0.4)


def test_the_band_covers_new_points_as_often_as_it_says() -> None:
    curves = fit(measured(40, seed=0))
    fresh = frontier(measured(200, seed=1))
    x = np.array([point.log_ratio for point in fresh])
    for process, values in (
        (curves.r, [point.resolution / 224 for point in fresh]),
        (curves.d, [point.depth for point in fresh]),
    ):
        mean, half = process.predict(x)
        inside = np.mean(np.abs(np.array(values) - mean) <= half)
        assert 0.88 <= inside <= 0.995


def test_the_curves_of_ones_own_points_scale_inside_their_range_only() -> None:
    curves = fit(measured(30, seed=2))
    network = scale(Budget(100_000_000), curves).network
    assert abs(network.distance(100_000_000)) <= 0.01
    with pytest.raises(Exception, match="the frontier of the measured points ends there"):
        scale(Budget(20_000_000), curves)


HEAD = "resolution,depth,width,accuracy\n"


def test_costs_are_counted_where_they_are_not_measured(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text(
        "\ufeffresolution, depth,width,accuracy,macs\n106,0.6,0.51,59.9,\n"
        "152,0.695,0.54,67,51.58e6\n",
        encoding="utf-8",
    )
    first, second = read_points(file)
    assert first.macs == count_plan_macs(tinynet_plan(0.51, 0.6), 106, 1000)
    assert second.macs == 51.58e6
    assert math.isclose(first.log_ratio, math.log2(first.macs / BASE_MACS))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("resolution,depth,accuracy\n1,1,1\n", "has no column width"),
        ("", "has no column resolution, depth, width, accuracy"),
        (HEAD + "106,0.6,0.51,59\n106,deep,0.5,60\n", r"points.csv:3: depth is 'deep'"),
        (HEAD + "106,0.6,0.51\n", r"points.csv:2: accuracy is ''"),
        (HEAD + "106,-0.6,0.51,59\n", "depth is '-0.6', not a number above 0"),
        (HEAD + "106,0.6,0.51,nan\n", "accuracy is 'nan'"),
    ],
)
def test_a_file_that_is_not_points_is_named_by_line_and_column(
    text: str, wrong: str, tmp_path: Path
) -> None:
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(DataError, match=wrong):
        read_points(tmp_path / "points.csv")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="not a CSV file"):
        read_points(tmp_path / "points.csv")


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_short_a_frontier_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=f"has {count} costs, a fit needs 6"):
        fit(measured(count, seed=0))


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"scikit-learn is not installed; .* 'scale'"):
        fit(measured(10, seed=0))
