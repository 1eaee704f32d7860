"""What long work reports while it runs: one frozen dataclass for each kind of event.

As JSON, one line an event, ``event`` names the kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A line for the person who waits."""

    text: str
    event: str = "message"


@dataclass(frozen=True, slots=True)
class Warned(Message):
    """A line about what may make the result worse than it looks."""

    event: str = "warning"


@dataclass(frozen=True, slots=True)
class Finished(Message):
    """There was nothing left to do."""

    event: str = "finished"


@dataclass(frozen=True, slots=True)
class Resumed(Message):
    """A run continues where it was stopped."""

    event: str = "resumed"


@dataclass(frozen=True, slots=True)
class Mismatch(Message):
    """A run continues under other conditions, which change its last digits."""

    event: str = "mismatch"


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` parts of the work called ``title``; ``note``: next to the bar."""

    title: str
    done: int
    total: int
    note: str = ""
    event: str = "progress"


@dataclass(frozen=True, slots=True)
class Epoch(Progress):
    """``done`` epochs of a training, and the last one's loss."""

    event: str = "epoch"
    loss: float = 0.0


Event = Message | Progress
Report = Callable[[Event], None]


def silent(_: Event) -> None:
    """A `Report` that nobody reads."""
