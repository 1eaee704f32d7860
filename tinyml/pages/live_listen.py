"""What a terminal shows while `tinyml listen` runs: scalogram, probabilities, the last decision."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tinyml.core.listen_lines import (
    ListenDecision,
    ListenFrame,
    ListenOverrun,
    ListenStart,
    ListenSummary,
)
from tinyml.core.text import printable, shorten

WIDTH, LEFT = 80, 8
COLUMNS = WIDTH - LEFT
COLUMN_S = 0.1
ROWS = 8
SHADES = " ░▒▓█"
# Decades of power from the brightest shade to none, and the least power that is bright.
DECADES, FAINT = 4.0, -6.0
BAR = 40
LONGEST_LABEL = 20


class LivePicture:
    """The last seconds of frames, and the last decision, as lines of 80 columns.

    ``frequencies_hz`` are of the rows of a frame, highest first; none: there is no scalogram.
    """

    def __init__(self, frequencies_hz: Sequence[float]) -> None:
        self.bands = np.array_split(np.asarray(frequencies_hz), min(ROWS, len(frequencies_hz)) or 1)
        self.columns: deque[list[float]] = deque(maxlen=COLUMNS)
        self.column = 0
        self.gathered: list[NDArray[np.float64]] = []
        self.decision: ListenDecision | None = None
        self.overruns = 0

    def add(self, line: ListenFrame | ListenDecision | ListenOverrun) -> None:
        """Take what came."""
        if isinstance(line, ListenDecision):
            self.decision = line
        elif isinstance(line, ListenOverrun):
            self.overruns += 1
        else:
            self._add_frame(line)

    def _add_frame(self, frame: ListenFrame) -> None:
        column = int(frame.time_s / COLUMN_S - 1e-6)
        if column != self.column and self.gathered:
            parts = np.array_split(np.mean(self.gathered, axis=0), len(self.bands))
            self.columns.append([float(part.mean()) for part in parts])
            self.gathered = []
        self.column = column
        self.gathered.append(np.asarray(frame.values))

    def lines(self) -> list[str]:
        """All of it, each line of at most 80 columns."""
        return [*self._scalogram(), *self._probabilities(), self._status()]

    def _scalogram(self) -> list[str]:
        if not self.columns:
            return []
        values = np.array(self.columns)
        top = max(float(values.max()), FAINT)
        levels = np.clip((values - top) / DECADES + 1, 0, 1) * (len(SHADES) - 1)
        rows = np.round(levels).astype(int).T
        return [
            f"{band.mean():4.0f} Hz " + "".join(SHADES[level] for level in row)
            for band, row in zip(self.bands, rows, strict=True)
        ]

    def _probabilities(self) -> list[str]:
        if self.decision is None or self.decision.probabilities is None:
            return []
        named = self.decision.probabilities
        width = max(len(_label(name)) for name in named)
        return [
            f"{'>' if name == self.decision.label else ' '} {_label(name):<{width}} {p:5.3f} "
            + "█" * round(BAR * p)
            for name, p in named.items()
        ]

    def _status(self) -> str:
        if self.decision is None:
            return "listening: the first decision comes after one whole window"
        late = overruns(self.overruns) if self.overruns else ""
        return f"{decision_time(self.decision)}{latency(self.decision)}{late}"


def start_lines(start: ListenStart) -> list[str]:
    """How the bundle listens, and what that costs."""
    first = (
        f"listening at {start.rate_hz} Hz with {start.runtime}: a decision every {start.hop_s:g} s "
        f"on the last {start.window_s:g} s"
    )
    if start.streaming:
        late_ms = 1e3 * start.front_end_delay_s
        return [
            first,
            f"each frame of the sound is computed once, {late_ms:.0f} ms after its sound",
        ]
    cost = f"{start.computations_per_s:.3g} whole windows are computed per second"
    return [first, f"{cost}, {100 * start.repeated_share:.0f}% of each repeats the one before"]


def decision_line(decision: ListenDecision) -> str:
    """One decision in one line."""
    label = "silence" if decision.label is None else _label(decision.label)
    named = (decision.probabilities or {}).items()
    shares = "  ".join(f"{_label(name)} {p:.3f}" for name, p in named)
    return f"{decision_time(decision)}  {label:<8} {shares}{latency(decision)}".rstrip()


def decision_time(decision: ListenDecision) -> str:
    return f"{decision.time_s:8.2f} s"


def latency(decision: ListenDecision) -> str:
    return "" if decision.latency_ms is None else f"  {decision.latency_ms:.0f} ms"


def overruns(count: int) -> str:
    return f"  {count} overrun{'s' if count > 1 else ''}"


def overrun_line(overrun: ListenOverrun) -> str:
    """A warning in one line."""
    return (
        f"overrun at {overrun.time_s:.2f} s: sound arrives faster than it is processed; "
        f"backlog {overrun.waiting_s:.2f} s"
    )


def summary_rows(summary: ListenSummary) -> list[tuple[str, str]]:
    """What was measured: names and values with units."""
    rows = [("decisions", f"{summary.decisions} in {summary.sound_s:.2f} s of sound")]
    if summary.real_time_factor is not None and summary.cpu_share is not None:
        rows += [
            ("real-time factor", f"{summary.real_time_factor:.4f}"),
            ("CPU share", f"{100 * summary.cpu_share:.1f}% of one core"),
        ]
    if (found := summary.latency_ms) is not None:
        times = f"median {found.median:.0f}, p95 {found.p95:.0f}, longest {found.max:.0f}"
        rows.append(("latency, ms", f"{times} (from a window's last sample)"))
    waits = f"largest backlog {summary.most_waiting_s:.2f} s"
    rows += [
        ("longest stall, ms", f"computing {1e3 * summary.longest_computing_s:.0f}"),
        ("", f"waiting for sound {1e3 * summary.longest_input_wait_s:.0f}"),
        ("overruns", f"{summary.overruns}" + (f", {waits}" if summary.overruns else "")),
    ]
    if summary.ignored_bytes:
        rows.append(("ignored", f"{summary.ignored_bytes} bytes after the last whole sample"))
    return rows


def _label(name: str) -> str:
    return shorten(printable(name).replace("\n", "\\n"), LONGEST_LABEL)
