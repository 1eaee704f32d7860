"""A timing of a few calls, for tests that look at everything but the times."""

from __future__ import annotations

from typing import Any

from tinyml.core.timing_plan import TimingPlan
from tinyml.pipeline.timing import Timing


def short_plan(runs: int = 2) -> TimingPlan:
    return TimingPlan(min_samples=runs, min_time_s=0.0, warmups=1)


def short(repeats: int = 1, runs: int = 2, **changes: Any) -> Timing:
    """``repeats`` processes of ``runs`` calls each."""
    return Timing(repeats, short_plan(runs), **changes)
