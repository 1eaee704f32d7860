"""A budget to a network; a user's measured points to curves, their evidence and a plot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyml.core.bundle_folder import check_outside
from tinyml.core.errors import UsageError, machine_errors
from tinyml.models.scaling import (
    BASE_MACS,
    CLASSES,
    PUBLISHED,
    Budget,
    Curves,
    Scaling,
    millions,
    scale,
)

if TYPE_CHECKING:
    from tinyml.models.scaling_fit import FittedCurves, Regression

COUNT = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)\s*([kmg]?)", re.I)
SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
PLOT_STEPS = 200


@dataclass(frozen=True, slots=True)
class ScaleJob:
    """What the command line asks for: counts as text, ``57M``, ``57e6`` or ``57000000``."""

    macs: str | None = None
    params: str | None = None
    resolution: int | None = None
    classes: int = CLASSES
    fit: Path | None = None
    plot: Path | None = None


def run(job: ScaleJob) -> dict[str, Any]:
    """The answer as JSON has it: the network for ``macs``, and the fit where one was asked for.

    Raises `UsageError` for a budget that no network has, `DataError` for the points.
    """
    if job.macs is None and job.fit is None:
        raise UsageError("give --macs N, or --fit FILE.csv", hint="tinyml scale --macs 57M")
    if job.macs is None and (job.params is not None or job.resolution is not None):
        raise UsageError("--params and --resolution are limits on a budget: give --macs too")
    if job.plot is not None and job.fit is None:
        raise UsageError("--plot draws a fit: give --fit FILE.csv too")
    plot = job.plot or (job.fit.with_suffix(".png") if job.fit else None)
    check_outside(plot)
    budget = _budget(job)
    if job.fit is None or plot is None:
        return _network(budget, PUBLISHED)
    return _fitted(job.fit, plot, budget)


def _budget(job: ScaleJob) -> Budget | None:
    if job.macs is None:
        return None
    if job.classes < 1:
        raise UsageError(f"--classes {job.classes} is not above 0")
    params = None if job.params is None else parse_count(job.params, "--params")
    return Budget(parse_count(job.macs, "--macs"), params, job.resolution, job.classes)


def parse_count(text: str, option: str) -> int:
    """``57M``, ``57e6``, ``57_000_000`` -> 57000000; `UsageError` names ``option``."""
    match = COUNT.fullmatch(text.strip())
    value = float(re.sub("[_,]", "", match[1])) * SUFFIXES[match[2].lower()] if match else -1.0
    if not 0 <= value < 1e15:
        raise UsageError(f"{option} is '{text}', not a count", hint=f"write {option} 57M, or 57e6")
    return round(value)


def _network(budget: Budget | None, curves: Curves) -> dict[str, Any]:
    if budget is None:
        return {}
    found: Scaling = scale(budget, curves)
    return {
        **asdict(found.network),
        "distance": found.network.distance(budget.macs),
        "classes": budget.classes,
        "neighbours": [asdict(n) | {"distance": n.distance(budget.macs)} for n in found.neighbours],
    }


def _fitted(csv: Path, plot: Path, budget: Budget | None) -> dict[str, Any]:
    from tinyml.models.scaling_fit import fit, read_points

    if not csv.is_file():
        raise UsageError(f"no points at {csv}", hint="a CSV file: resolution,depth,width,accuracy")
    with machine_errors(f"reading {csv.name}"):
        points = read_points(csv)
    curves = fit(points)
    network = _network(budget, curves)
    with machine_errors(f"writing {plot.name}", plot.parent):
        _draw(curves, plot, csv.name)
    return {
        **network,
        "fit": {
            "points": curves.points,
            "frontier": [asdict(point) for point in curves.frontier],
            "lowest_macs": curves.lowest,
            "highest_macs": curves.highest,
            "out_of_fold": {name: asdict(found) for name, found in curves.out_of_fold.items()},
            "plot": str(plot),
        },
    }


def _draw(curves: FittedCurves, path: Path, name: str) -> None:
    from tinyml.pages.scaling_plot import Curve, scaling_plot

    macs = np.geomspace(curves.lowest, curves.highest, PLOT_STEPS)
    points_macs = np.array([point.macs for point in curves.frontier])
    regressions: Mapping[str, tuple[str, Regression]] = {
        "r": ("resolution / 224", curves.r),
        "d": ("depth", curves.d),
    }
    panels = []
    for short, (label, process) in regressions.items():
        mean, half = process.predict(np.log2(macs / BASE_MACS))
        caption = evidence(asdict(curves.out_of_fold[short]))
        panels.append(Curve(label, macs, mean, half, points_macs, process.values, caption))
    title = f"{name}: {len(curves.frontier)} of {curves.points} points on the frontier"
    scaling_plot(panels, path, title=title)


def evidence(out_of_fold: Mapping[str, Any]) -> str:
    """What the points outside of a fit say of it."""
    return (
        f"points outside of the fit: {out_of_fold['inside']} of {out_of_fold['points']} "
        f"in the 95% band, rms {out_of_fold['rms']:.3f}"
    )


def recipe_lines(network: Mapping[str, Any]) -> list[str]:
    """The lines of a recipe that train ``network``."""
    return [
        'model = "tinynet"',
        "",
        "[architecture]",
        f"width = {float(network['width'])!r}",
        f"depth = {float(network['depth'])!r}",
        f"resolution = {network['resolution']}",
    ]


def line(network: Mapping[str, Any]) -> str:
    """One network with its distance from the budget."""
    return (
        f"{millions(network['macs'])} MACs ({network['distance']:+.2%}), "
        f"{millions(network['parameters'])} parameters: resolution {network['resolution']}, "
        f"depth {network['depth']:g}, width {network['width']:g}"
    )
