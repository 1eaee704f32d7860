"""Lines of listen.py as types, and what is not one of them."""

from __future__ import annotations

import json

import pytest

from tinyml.core.errors import DeviceError
from tinyml.core.listen_lines import (
    ListenDecision,
    ListenFrame,
    ListenLatency,
    ListenLine,
    ListenOverrun,
    ListenStart,
    ListenSummary,
    line_json,
    parse_line,
)

LINES: list[ListenLine] = [
    ListenStart(True, "litert", 4000, 6.0, 0.5, 0.24, 2.0, 0.0),
    ListenFrame(0.02, (-1.5, -10.0)),
    ListenDecision(6.0, "Absent", {"Present": 0.25, "Absent": 0.75}, 251.0),
    ListenDecision(6.5, None, None, None),
    ListenOverrun(3.0, 2.5),
    ListenSummary(1, 6.0, 6.1, 0.1, 0.2, ListenLatency(1.0, 2.0, 3.0), 0.1, 0.2, 0, 0.0, 0),
    ListenSummary(0, 0.0, 0.1, None, None, None, 0.0, 0.0, 0, 0.0, 1),
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_read_as_it_was_printed(line: ListenLine) -> None:
    assert parse_line(json.dumps(line_json(line)), "board") == line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Welcome to Raspberry Pi OS", "board: what it printed is not JSON"),
        ("[1]", "board: what it printed is not a line of listen.py"),
        ('{"kind": "end"}', "board: what it printed is not a line of listen.py"),
        ('{"kind": "overrun", "time_s": "soon", "waiting_s": 1}', "board: time_s: expected"),
    ],
)
def test_any_other_output_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DeviceError, match=reason):
        parse_line(text, "board")
