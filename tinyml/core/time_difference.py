"""The time of what a whole model does after its front end."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from tinyml.core.errors import DeviceError
from tinyml.core.measurement import Measurement, median


@dataclass(frozen=True, slots=True)
class TimeDifference:
    """The time of what ``whole`` does after ``front_end``, a part of the same file.

    It is not timed: it is the difference of two measurements whose processes took turns
    (`tinyml.device.measure`). A runtime may fuse across the cut, so it is an estimate,
    and is to be shown as one.
    """

    whole: Measurement
    front_end: Measurement

    def __post_init__(self) -> None:
        self.whole.check_comparable(self.front_end)
        if (self.whole.runtime, self.whole.version) != (
            self.front_end.runtime,
            self.front_end.version,
        ):
            raise DeviceError("the whole and its front end were run by different runtimes")

    @property
    def per_turn_ns(self) -> tuple[float, ...]:
        """Median of the whole less median of the front end, of each turn in which both count."""
        wholes, fronts = (
            {own.turn: statistics.median(own.samples_ns) for own in m.processes}
            for m in (self.whole, self.front_end)
        )
        return tuple(wholes[turn] - fronts[turn] for turn in wholes if turn in fronts)

    @property
    def p50_ns(self) -> float | None:
        """The median over turns; negative when the part is below the noise."""
        return median(self.per_turn_ns)

    @property
    def range_ns(self) -> tuple[float, float] | None:
        """The smallest and the largest turn."""
        turns = self.per_turn_ns
        return (min(turns), max(turns)) if turns else None
