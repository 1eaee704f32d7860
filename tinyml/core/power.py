"""Power of a board while a model runs and while it is idle, if the board can measure it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from tinyml.core.errors import DeviceError

# Of a Raspberry Pi 5: its power controller measures the rails that it feeds.
PMIC = "pmic"


@dataclass(frozen=True, slots=True)
class Power:
    """Readings of one process, in watts, after its timed calls.

    source     `PMIC`, or the user's command that printed them
    idle_w     while the process sleeps; ``busy_w``: while it makes ``calls`` in ``elapsed_ns``
    """

    source: str
    idle_w: tuple[float, ...]
    busy_w: tuple[float, ...]
    calls: int
    elapsed_ns: int

    def __post_init__(self) -> None:
        if not self.idle_w or not self.busy_w or self.calls < 1:
            raise DeviceError("there is no reading of the power")

    @property
    def call_j(self) -> float:
        """Energy of a call in joules: all that is drawn meanwhile."""
        return statistics.fmean(self.busy_w) * self.elapsed_ns / 1e9 / self.calls

    @property
    def above_idle_j(self) -> float:
        """The part of `call_j` that an idle board does not draw."""
        above = statistics.fmean(self.busy_w) - statistics.fmean(self.idle_w)
        return above * self.elapsed_ns / 1e9 / self.calls
