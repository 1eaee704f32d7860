"""Did a model file become slower than its baseline, by more than is allowed?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tinyml.core.errors import DeviceError, ValidationError
from tinyml.core.time_ratio import LEVEL, TimeRatio

Regression = Literal["regression", "no regression", "no verdict"]


def regression(found: TimeRatio, most: float) -> Regression:
    """Whether the time of B is over that of its baseline A by more than ``most``, of 1.

    A regression is shown only where the whole interval is above. Where the ratio is above and a
    part of the interval is not, there is no verdict: the measurement is too coarse for it.
    """
    if found.ratio is None or found.low is None:
        return "no verdict"
    if found.low > 1 + most:
        return "regression"
    return "no verdict" if found.ratio > 1 + most else "no regression"


def check_regressions(found: Mapping[str, TimeRatio], most: float) -> None:
    """Raise `ValidationError` for a regression, else `DeviceError` where there is no verdict.

    ``found`` is by the name to show, of a runtime for instance. Nothing compared is no verdict.
    """
    limit = f"more than {100 * most:g}% longer than the baseline"
    verdicts = {name: regression(own, most) for name, own in found.items()}
    slower = [_ratio(name, found[name]) for name in found if verdicts[name] == "regression"]
    if slower:
        raise ValidationError(f"regression: {'; '.join(slower)}, {limit}")
    unknown = [_why(name, found[name]) for name in found if verdicts[name] == "no verdict"]
    if unknown or not found:
        why = "; ".join(unknown) or "nothing was measured on both sides"
        raise DeviceError(
            f"no verdict on a regression: {why}",
            hint="measure again on a quiet machine, with more repeats, or compare CPU times",
        )


def _ratio(name: str, found: TimeRatio) -> str:
    interval = f"{LEVEL:.0%} interval {found.low:.3f} to {found.high:.3f}"
    return f"{name} takes {found.ratio:.3f} times as long ({interval})"


def _why(name: str, found: TimeRatio) -> str:
    return (
        f"{name}: {found.why}" if found.why else f"{_ratio(name, found)}: the interval is too wide"
    )
