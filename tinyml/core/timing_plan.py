"""How each process times its calls: how many, for how long, and after which warm-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tinyml.core.errors import InputError

BetweenCalls = Literal["sleep", "evict"]


@dataclass(frozen=True, slots=True)
class TimingPlan:
    """A process ends at ``min_samples`` *and* ``min_time_s``, or at ``max_time_s``.

    warmups   calls before the first sample; ``None``: until their time is stable
    is_quick  too short for more than a first look
    period_s  from call to call, as on a device; ``None``: one after the other, caches warm
    between   what the process does meanwhile: ``sleep``, or ``evict``: work on other memory
    """

    min_samples: int = 100
    min_time_s: float = 0.5
    max_time_s: float = 10.0
    warmups: int | None = None
    is_quick: bool = False
    period_s: float | None = None
    between: BetweenCalls | None = None

    def __post_init__(self) -> None:
        if (self.period_s is None) != (self.between is None) or (self.period_s or 1.0) <= 0:
            raise InputError(f"{self.between} between calls every {self.period_s} s")

    @property
    def pace(self) -> str:
        """When calls are made, for a sentence: empty where one follows the other."""
        if self.period_s is None:
            return ""
        doing = "sleep" if self.between == "sleep" else "work on other memory"
        return f"one call every {1000 * self.period_s:g} ms, {doing} in between"


FULL = TimingPlan()
QUICK = TimingPlan(min_samples=20, min_time_s=0.0, max_time_s=2.0, warmups=5, is_quick=True)
