"""What a terminal shows while a model listens: 80 columns, whatever the labels are."""

from __future__ import annotations

import numpy as np
import pytest

from tinyml.core.listen_lines import (
    ListenDecision,
    ListenFrame,
    ListenLatency,
    ListenOverrun,
    ListenStart,
    ListenSummary,
)
from tinyml.pages.live_listen import (
    COLUMNS,
    LivePicture,
    decision_line,
    overrun_line,
    start_lines,
    summary_rows,
)

SCALES_HZ = tuple(np.geomspace(800, 25, 32))
HEARD = ListenDecision(6.5, "Present", {"Present": 0.5, "Absent": 0.0, "x" * 99: 1.0}, 251.4)


def test_a_tone_is_a_bright_row_of_the_scalogram() -> None:
    picture, values = LivePicture(SCALES_HZ), np.full(32, -9.0)
    values[8:12] = -1.0
    for number in range(1, 501):
        picture.add(ListenFrame(number / 50, tuple(values)))
    rows = picture.lines()[:8]
    assert [row[:8] for row in rows[:3]] == [" 682 Hz ", " 436 Hz ", " 279 Hz "]
    assert [row[8:] for row in rows] == [("█" if n == 2 else " ") * COLUMNS for n in range(8)]


def test_before_the_first_window_the_picture_says_so_and_digital_silence_is_dark() -> None:
    picture = LivePicture(SCALES_HZ)
    for number in range(1, 51):
        picture.add(ListenFrame(number / 50, (-10.0,) * 32))
    lines = picture.lines()
    assert {line[8:].strip() for line in lines[:8]} == {""}
    assert lines[8:] == ["listening: the first decision comes after one whole window"]


def test_labels_have_bars_and_every_line_fits() -> None:
    picture = LivePicture(())
    picture.add(ListenOverrun(3.0, 2.5))
    picture.add(HEARD)
    first, second, third, status = picture.lines()
    assert first == "> Present              0.500 " + "█" * 20
    assert second.rstrip() == "  Absent               0.000"
    assert len(third) <= 80
    assert "…" in third
    assert status == "    6.50 s  251 ms  1 overrun"


def test_a_line_for_a_decision_and_for_silence() -> None:
    named = ListenDecision(6.0, "Absent", {"Present": 0.25, "Absent": 0.75}, None)
    assert decision_line(named) == "    6.00 s  Absent   Present 0.250  Absent 0.750"
    assert decision_line(ListenDecision(6.5, None, None, 12.3)) == "    6.50 s  silence    12 ms"


@pytest.mark.parametrize("streaming", [True, False])
def test_how_it_listens_fits_80_columns(streaming: bool) -> None:
    lines = start_lines(ListenStart(streaming, "onnxruntime", 44100, 6.0, 0.25, 0.24, 4.0, 0.96))
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith(
        "each frame" if streaming else "4 whole windows are computed per second"
    )


def test_the_summary_names_what_was_measured() -> None:
    latency = ListenLatency(240.4, 251.0, 301.6)
    summary = ListenSummary(9, 12.5, 12.6, 0.0123, 0.034, latency, 0.05, 0.21, 2, 2.34, 1)
    assert summary_rows(summary) == [
        ("decisions", "9 in 12.50 s of sound"),
        ("real-time factor", "0.0123"),
        ("CPU share", "3.4% of one core"),
        ("latency, ms", "median 240, p95 251, longest 302 (from a window's last sample)"),
        ("longest stall, ms", "computing 50"),
        ("", "waiting for sound 210"),
        ("overruns", "2, largest backlog 2.34 s"),
        ("ignored", "1 bytes after the last whole sample"),
    ]
    assert "backlog 2.50 s" in overrun_line(ListenOverrun(3.0, 2.5))
