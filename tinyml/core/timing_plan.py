"""How each process times its calls: how many, for how long, and after which warm-up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimingPlan:
    """A process ends at ``min_samples`` *and* ``min_time_s``, or at ``max_time_s``.

    warmups   calls before the first sample; ``None``: until their time is stable
    is_quick  too short for more than a first look
    """

    min_samples: int = 100
    min_time_s: float = 0.5
    max_time_s: float = 10.0
    warmups: int | None = None
    is_quick: bool = False


FULL = TimingPlan()
QUICK = TimingPlan(min_samples=20, min_time_s=0.0, max_time_s=2.0, warmups=5, is_quick=True)
