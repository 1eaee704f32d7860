"""The lines that listen.py prints, as types: one JSON object each, whose ``kind`` tells which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinyml.core.errors import DeviceError
from tinyml.core.typed_json import from_json, parse_json, to_json


@dataclass(frozen=True, slots=True)
class ListenStart:
    """How a bundle listens.

    streaming           by its streaming graphs; else by a window that is computed as a whole
    hop_s               between two decisions, each about the last ``window_s``
    front_end_delay_s   by which frames of the sound come later than the sound
    computations_per_s  of the window, or of the head, in a second of sound
    repeated_share      of a window, that the one before computed too
    """

    streaming: bool
    runtime: str
    rate_hz: int
    window_s: float
    hop_s: float
    front_end_delay_s: float
    computations_per_s: float
    repeated_share: float


@dataclass(frozen=True, slots=True)
class ListenFrame:
    """A column of the scalogram, which ends ``time_s`` after the start of the sound."""

    time_s: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ListenDecision:
    """What the window that ends at ``time_s`` is; ``None``: all of its samples are zero.

    latency_ms  from the arrival of its last sample to this line; ``None``: it was not live sound
    """

    time_s: float
    label: str | None
    probabilities: Mapping[str, float] | None
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class ListenOverrun:
    """Sound came faster than it was computed: the buffer was full, and ``waiting_s`` waited."""

    time_s: float
    waiting_s: float


@dataclass(frozen=True, slots=True)
class ListenLatency:
    """From the arrival of a window's last sample to its decision, in milliseconds."""

    median: float
    p95: float
    max: float


@dataclass(frozen=True, slots=True)
class ListenSummary:
    """What was measured.

    elapsed_s             since the first sound came
    real_time_factor      computing time for a second of sound; above 1 it cannot keep up
    cpu_share             of one core
    longest_computing_s   for one piece of sound, a tenth of a second at most
    longest_input_wait_s  until the next piece of sound came
    most_waiting_s        sound that waited to be computed, of live sound
    ignored_bytes         after the last whole sample
    """

    decisions: int
    sound_s: float
    elapsed_s: float
    real_time_factor: float | None
    cpu_share: float | None
    latency_ms: ListenLatency | None
    longest_computing_s: float
    longest_input_wait_s: float
    overruns: int
    most_waiting_s: float
    ignored_bytes: int


ListenLine = ListenStart | ListenFrame | ListenDecision | ListenOverrun | ListenSummary
KINDS: dict[str, type[Any]] = {
    "start": ListenStart,
    "frame": ListenFrame,
    "decision": ListenDecision,
    "overrun": ListenOverrun,
    "summary": ListenSummary,
}
NAMES = {kind: name for name, kind in KINDS.items()}
HINT = "a start file on the board prints text: look at ~/.profile and ~/.bashrc"


def parse_line(text: str | bytes, what: str) -> ListenLine:
    """One line of listen.py; `DeviceError`, about ``what``, for anything else."""
    data = parse_json(text, what=f"{what}: what it printed", error=DeviceError, hint=HINT)
    kind = KINDS.get(str(data.get("kind"))) if isinstance(data, dict) else None
    if kind is None:
        raise DeviceError(f"{what}: what it printed is not a line of listen.py", hint=HINT)
    line: ListenLine = from_json(kind, data, what=what, error=DeviceError)
    return line


def line_json(line: ListenLine) -> dict[str, Any]:
    """The line as JSON values, as listen.py printed it."""
    return {"kind": NAMES[type(line)], **to_json(line)}
