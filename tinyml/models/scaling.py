"""From a budget of multiply-accumulates to a TinyNet: "Model Rubik's Cube", arXiv 2010.14819.

The paper fits resolution r(c) and depth d(c) to the best small networks, c being the ratio
of their cost to EfficientNet-B0's, and lets the width follow. The published widths do not
obey its w = sqrt(c / (r^2 d)): stem and depthwise layers cost in w, not w^2. Here the width
is searched on counted costs. Channels come in eights, so one side alone misses many
budgets by more than 1%: the sides around r(c) are searched too, nearest first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from tinyml.core.errors import UsageError
from tinyml.models.plans import (
    STEM_CHANNELS,
    TOP_CHANNELS,
    NetworkPlan,
    count_plan_macs,
    count_plan_parameters,
    in_eights,
    scaled_groups,
)

BASE_SIDE = 224
# EfficientNet-B0's convolutions and linear layers at 224 pixels, 1000 classes.
BASE_MACS = 385_814_752
CLASSES = 1000
LOWEST, HIGHEST = 20_000_000, 400_000_000
TOLERANCE = 0.01
SIDE_REACH = 12
WIDTHS = tuple(n / 1000 for n in range(200, 2001))
SIDES = (32, 1024)
OTHER_SIDE_STEP = 8


class Curves(Protocol):
    """r(c) and d(c), and the multiply-accumulates between which they hold."""

    @property
    def lowest(self) -> int: ...
    @property
    def highest(self) -> int: ...
    @property
    def reason(self) -> str: ...

    def resolution(self, ratio: float) -> float:
        """Side of the image over 224."""

    def depth(self, ratio: float) -> float:
        """Multiplier of the repeats."""


@dataclass(frozen=True, slots=True)
class PublishedCurves:
    """Polynomials in x = log2 c through the five published networks, residuals below 0.02."""

    lowest: int = LOWEST
    highest: int = HIGHEST
    reason: str = (
        "below, the fit to the published networks collapses (10 M asks for 25 pixels); "
        "above is EfficientNet-B0, the base, and nothing was fitted"
    )

    def resolution(self, ratio: float) -> float:
        x = math.log2(ratio)
        return -0.0361 * x**2 - 0.0514 * x + 0.8434

    def depth(self, ratio: float) -> float:
        x = math.log2(ratio)
        return -0.0159 * x**3 - 0.0815 * x**2 + 0.0834 * x + 1.2239


@dataclass(frozen=True, slots=True)
class Budget:
    """What is asked for: parameters are an upper limit, a side of the image is kept."""

    macs: int
    parameters: int | None = None
    resolution: int | None = None
    classes: int = CLASSES


@dataclass(frozen=True, slots=True)
class Scaled:
    """One network of the family `tinynet`, counted."""

    resolution: int
    depth: float
    width: float
    macs: int
    parameters: int

    def distance(self, macs: int) -> float:
        """Signed, as a share of ``macs``."""
        return self.macs / macs - 1


@dataclass(frozen=True, slots=True)
class Scaling:
    """The network for a budget, and those one step of width or of side away."""

    network: Scaled
    neighbours: tuple[Scaled, ...]


def tinynet_plan(width: float, depth: float) -> NetworkPlan:
    """TinyNet's rule: repeats to the nearest, the stem as it is, the top never below 1280."""
    groups = scaled_groups(width, lambda repeats: max(1, round(repeats * depth)))
    return NetworkPlan(STEM_CHANNELS, groups, max(TOP_CHANNELS, in_eights(TOP_CHANNELS * width)))


PUBLISHED = PublishedCurves()


def scale(budget: Budget, curves: Curves = PUBLISHED) -> Scaling:
    """The network for ``budget``: within 1% of it unless a side was asked for.

    Raises `UsageError` for a budget out of the curves' range and for limits that no
    network keeps, with the nearest that exist.
    """
    _check(budget, curves)
    ratio = budget.macs / BASE_MACS
    depth = round(curves.depth(ratio), 3)
    fitted = int(BASE_SIDE * curves.resolution(ratio))
    sides = [budget.resolution] if budget.resolution else _outwards(fitted)
    found = _first_close(budget, depth, sides)
    if found is None:
        raise _infeasible(budget, depth, sides)
    return Scaling(found, tuple(_neighbours(budget, found)))


def _check(budget: Budget, curves: Curves) -> None:
    if not curves.lowest <= budget.macs <= curves.highest:
        low, high = curves.lowest / 1e6, curves.highest / 1e6
        raise UsageError(
            f"{budget.macs:,} MACs are out of range: {low:g} M to {high:g} M; {curves.reason}",
            hint=f"did you mean {budget.macs}M?"
            if curves.lowest <= budget.macs * 10**6 <= curves.highest
            else "choose a budget in the range, or narrow a model: width in [architecture]",
        )
    if budget.resolution is not None and not SIDES[0] <= budget.resolution <= SIDES[1]:
        raise UsageError(f"--resolution {budget.resolution} is not from {SIDES[0]} to {SIDES[1]}")
    if budget.parameters is not None and budget.parameters < 1:
        raise UsageError(f"--params {budget.parameters} leaves nothing")


def _outwards(side: int) -> list[int]:
    """``side`` and its neighbours, nearest first."""
    return [side, *(side + s * n for n in range(1, SIDE_REACH + 1) for s in (1, -1))]


def _first_close(budget: Budget, depth: float, sides: list[int]) -> Scaled | None:
    """At the first of ``sides`` where one is within 1%, the nearest; at a given side, within
    what the widths reach.
    """
    for side in sides:
        allowed = [n for n in _networks(side, depth, budget.classes) if _fits(n, budget)]
        if not allowed:
            continue
        best = min(allowed, key=lambda n: abs(n.distance(budget.macs)))
        if abs(best.distance(budget.macs)) <= TOLERANCE:
            return best
        if budget.resolution is not None and _is_between(budget, allowed):
            return best
    return None


def _is_between(budget: Budget, networks: Iterable[Scaled]) -> bool:
    macs = [network.macs for network in networks]
    return min(macs) <= budget.macs <= max(macs)


def _fits(network: Scaled, budget: Budget) -> bool:
    return budget.parameters is None or network.parameters <= budget.parameters


def _networks(side: int, depth: float, classes: int) -> Iterator[Scaled]:
    """One network for each plan that the widths make."""
    for width, plan, parameters in _plans(depth, classes):
        yield Scaled(side, depth, width, count_plan_macs(plan, side, classes), parameters)


@lru_cache(maxsize=4)
def _plans(depth: float, classes: int) -> tuple[tuple[float, NetworkPlan, int], ...]:
    """(width, plan, parameters) of each plan: the width of it with the fewest digits."""
    widths: dict[NetworkPlan, float] = {}
    for width in sorted(WIDTHS, key=lambda width: len(f"{width:g}")):
        widths.setdefault(tinynet_plan(width, depth), width)
    return tuple(
        (width, plan, count_plan_parameters(plan, classes))
        for plan, width in sorted(widths.items(), key=lambda item: item[1])
    )


def _neighbours(budget: Budget, network: Scaled) -> Iterator[Scaled]:
    """A step narrower and wider at its side; the nearest of the sides below and above."""
    same = list(_networks(network.resolution, network.depth, budget.classes))
    at = same.index(network)
    yield from (same[n] for n in (at - 1, at + 1) if 0 <= n < len(same))
    for side in (network.resolution - 1, network.resolution + 1):
        others = _networks(side, network.depth, budget.classes)
        yield min(others, key=lambda n: abs(n.distance(budget.macs)))


def _infeasible(budget: Budget, depth: float, sides: list[int]) -> UsageError:
    """What cannot be had together, with the nearest that can."""
    networks = [n for side in sides for n in _networks(side, depth, budget.classes)]
    allowed = [n for n in networks if _fits(n, budget)]
    asked = [f"{millions(budget.macs)} MACs"]
    if budget.parameters is not None:
        asked.append(f"at most {millions(budget.parameters)} parameters")
    where = f"{min(sides)} to {max(sides)} pixels" if len(sides) > 1 else f"{sides[0]} pixels"
    nearest = (
        min(allowed, key=lambda n: abs(n.distance(budget.macs)))
        if allowed
        else min(networks, key=lambda n: (n.parameters, abs(n.distance(budget.macs))))
    )
    return UsageError(
        f"no TinyNet of {where} has {' and '.join(asked)}; the nearest: {describe(nearest)}",
        hint=_other_side(budget, depth) or "raise one limit, or omit it",
    )


def _other_side(budget: Budget, depth: float) -> str:
    """The next side up at which the limits do go together; empty where there is none."""
    if budget.resolution is not None:
        return ""
    for side in range(SIDES[0], SIDES[1] + 1, OTHER_SIDE_STEP):
        found = _first_close(budget, depth, [side])
        if found is not None:
            return f"away from the fitted resolution there is one: --resolution {side}"
    return ""


def describe(network: Scaled) -> str:
    """One line of a network."""
    return (
        f"{millions(network.macs)} MACs and {millions(network.parameters)} parameters "
        f"(resolution {network.resolution}, depth {network.depth:g}, width {network.width:g})"
    )


def millions(count: int) -> str:
    """``57000000`` -> ``57 M``; what is below 10,000 as it is."""
    return f"{count / 1e6:.5g} M" if count >= 10_000 else str(count)
