"""The method of arXiv 2010.14819 on measured points: the frontier, and curves through it.

Points are networks of the family `tinynet` with their accuracy. The Pareto frontier is
kept, with the frontiers behind it until a fifth of the points are. Resolution and depth
are regressed on x = log2 c by Gaussian processes (a smooth kernel plus white noise), c
being the ratio of multiply-accumulates to EfficientNet-B0's. The band is the mean +- 1.96
predicted standard deviations of a point. How far to trust it is measured: each point of
the frontier is predicted once by a fit that did not have it.
"""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyml.core.errors import DataError, require
from tinyml.models.plans import count_plan_macs
from tinyml.models.scaling import BASE_MACS, BASE_SIDE, CLASSES, tinynet_plan

Floats = NDArray[np.float64]
REQUIRED = ("resolution", "depth", "width", "accuracy")
KEPT_SHARE = 0.2
FEWEST = 6
FOLDS = 5
BAND = 1.96
RESTARTS = 4


@dataclass(frozen=True, slots=True)
class Point:
    """A measured network: ``resolution`` in pixels, the others as `tinyml scale` has them."""

    resolution: float
    depth: float
    width: float
    accuracy: float
    macs: float

    @property
    def log_ratio(self) -> float:
        return math.log2(self.macs / BASE_MACS)


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """How well the band covers points that the fit does not use.

    ``inside`` of ``points`` lay in the 95% band; ``rms`` is the error of the mean.
    """

    points: int
    inside: int
    rms: float


@dataclass(frozen=True, slots=True)
class Regression:
    """One regression on x: the scikit-learn object, and the values it was fitted to."""

    regressor: Any
    values: Floats

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """(mean, half width of the 95% band) at each of ``x``."""
        mean, deviation = self.regressor.predict(x[:, None], return_std=True)
        return np.asarray(mean), BAND * np.asarray(deviation)


@dataclass(frozen=True, slots=True)
class FittedCurves:
    """r(c) and d(c) from the user's own points; usable as `tinyml.models.scaling.Curves`."""

    frontier: tuple[Point, ...]
    r: Regression
    d: Regression
    out_of_fold: dict[str, OutOfFold]
    points: int

    @property
    def lowest(self) -> int:
        return math.ceil(self.frontier[0].macs)

    @property
    def highest(self) -> int:
        return math.floor(self.frontier[-1].macs)

    @property
    def reason(self) -> str:
        return "the frontier of the measured points ends there"

    def resolution(self, ratio: float) -> float:
        return float(self.r.predict(np.array([math.log2(ratio)]))[0][0])

    def depth(self, ratio: float) -> float:
        return float(self.d.predict(np.array([math.log2(ratio)]))[0][0])


def read_points(path: Path) -> list[Point]:
    """Points of a CSV file with `REQUIRED` columns; ``macs`` is counted where it is missing.

    Raises `DataError` naming the column, or the line and the value.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or ()]
            missing = [name for name in REQUIRED if name not in names]
            if missing:
                raise DataError(
                    f"{path.name} has no column {', '.join(missing)}",
                    hint=f"its first line names {', '.join(REQUIRED)}, and macs if measured",
                )
            reader.fieldnames = names
            return [_point(path, reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} is not a CSV file: {error}") from error


def _point(path: Path, line: int, row: dict[str, str | None]) -> Point:
    values = {name: _number(path, line, name, row[name]) for name in REQUIRED}
    if (row.get("macs") or "").strip():
        macs = _number(path, line, "macs", row["macs"])
    else:
        plan = tinynet_plan(values["width"], values["depth"])
        macs = float(count_plan_macs(plan, int(values["resolution"]), CLASSES))
    return Point(**values, macs=macs)


def _number(path: Path, line: int, name: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise DataError(f"{path.name}:{line}: {name} is '{text or ''}', not a number above 0")
    return value


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in both accuracy and cost, by cost.

    Where those are less than a fifth of all, the frontier of the rest is added, and so on.
    """
    rest, kept = list(points), list[Point]()
    while rest and (not kept or len(kept) < KEPT_SHARE * len(points)):
        front = _front(rest)
        kept += front
        rest = [point for point in rest if point not in front]
    return sorted(kept, key=lambda point: point.macs)


def _front(points: Sequence[Point]) -> list[Point]:
    front, best = [], -math.inf
    for point in sorted(points, key=lambda point: (point.macs, -point.accuracy)):
        if point.accuracy > best:
            front.append(point)
            best = point.accuracy
    return front


def fit(points: Sequence[Point]) -> FittedCurves:
    """Curves through the frontier of ``points``; `DataError` where it is too short."""
    require("sklearn", "scikit-learn", "scale")
    kept = frontier(points)
    distinct = len({point.macs for point in kept})
    if distinct < FEWEST:
        raise DataError(
            f"the frontier of {len(points)} points has {distinct} costs, a fit needs {FEWEST}",
            hint="measure more networks, of different sizes",
        )
    x = np.array([point.log_ratio for point in kept])
    targets = {
        "r": np.array([point.resolution / BASE_SIDE for point in kept]),
        "d": np.array([point.depth for point in kept]),
    }
    return FittedCurves(
        tuple(kept),
        _regression(x, targets["r"]),
        _regression(x, targets["d"]),
        {name: _out_of_fold(x, y) for name, y in targets.items()},
        len(points),
    )


def _regression(x: Floats, y: Floats) -> Regression:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * RBF(2.0, (0.3, 30.0))
    kernel = kernel + WhiteKernel(0.1, (1e-6, 1.0))
    regressor = GaussianProcessRegressor(
        kernel, normalize_y=True, n_restarts_optimizer=RESTARTS, random_state=0
    )
    with warnings.catch_warnings():
        # A kernel's parameter at its bound: noiseless points, or ones without any trend.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressor.fit(x[:, None], y)
    return Regression(regressor, y)


def _out_of_fold(x: Floats, y: Floats) -> OutOfFold:
    """Each point predicted once, by a fit to the points of the other folds."""
    errors, inside = [], 0
    for fold in range(min(FOLDS, len(x))):
        out = np.arange(len(x)) % FOLDS == fold
        mean, half = _regression(x[~out], y[~out]).predict(x[out])
        error = y[out] - mean
        errors.append(error)
        inside += int((np.abs(error) <= half).sum())
    return OutOfFold(len(x), inside, float(np.sqrt(np.mean(np.concatenate(errors) ** 2))))
