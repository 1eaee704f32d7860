"""Waiting until a board that was throttled is cool again.

A board that only became warm is not waited for: the next process starts warm, stays so, and counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinyml.core.interruption import pause
from tinyml.core.machine_state import MachineState
from tinyml.core.measurement import Process
from tinyml.core.validity import throttle_in

POLL_S = 5.0
# All that is waited in one run.
LONGEST_S = 300.0
# Cool is so much below where it was throttled; but where the run began, and a little, is enough.
BELOW_MC, NEAR_START_MC = 15_000, 5_000


@dataclass(slots=True)
class Cooling:
    """The waits of one run on one board.

    read            the state of the board at this moment
    tell            shows a line about the wait
    start           what the first process began with
    firmware_alone  on an emulated board, where all else that is read is of its host
    """

    read: Callable[[], MachineState]
    tell: Callable[[str], None]
    start: MachineState | None = None
    left_s: float = LONGEST_S
    firmware_alone: bool = False

    def after(self, process: Process) -> None:
        """Wait as long as ``process`` left the board too hot, and `LONGEST_S` is not over."""
        start = self.start = self.start or process.before
        if not self._is_hot(process):
            return
        goal = _goal(start, process)
        while self.left_s > 0:
            now = self.read()
            if not now.is_throttled and _is_below(now.temperature_mc, goal):
                return
            self.tell(_text(now, goal))
            pause(POLL_S)
            self.left_s -= POLL_S

    def _is_hot(self, process: Process) -> bool:
        """Whether ``process`` was throttled in a way that may end when the board cools down."""
        before, after = process.before, process.after
        silent = before.firmware_bits is None and after.firmware_bits is None
        if silent and not self.firmware_alone:
            return bool(before.is_throttled or after.is_throttled)
        return throttle_in(process).is_hot


def _goal(start: MachineState, process: Process) -> int | None:
    """The temperature to wait for; ``None`` where none is known."""
    known = (process.before.temperature_mc, process.after.temperature_mc)
    hottest = max((own for own in known if own is not None), default=None)
    if hottest is None:
        return None
    goal = hottest - BELOW_MC
    began = None if start.is_throttled else start.temperature_mc
    return goal if began is None else max(goal, began + NEAR_START_MC)


def _is_below(now: int | None, goal: int | None) -> bool:
    return now is None or goal is None or now <= goal


def _text(now: MachineState, goal: int | None) -> str:
    if now.temperature_mc is None or goal is None:
        return "cooling down: throttled, temperature unknown"
    if _is_below(now.temperature_mc, goal):
        return f"cooling down: {now.temperature_mc / 1000:.0f} °C, still throttled"
    return f"cooling down: {now.temperature_mc / 1000:.0f} °C, waits for {goal / 1000:.0f} °C"
