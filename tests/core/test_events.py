"""Events of long work, and what becomes of them as lines of JSON and at the terminal."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from tinyml.cli.terminal import progress
from tinyml.core.events import (
    Epoch,
    Event,
    Finished,
    Message,
    Mismatch,
    Progress,
    Resumed,
    Warned,
    silent,
)

EVENTS: tuple[Event, ...] = (
    Message("a"),
    Warned("b"),
    Finished("c"),
    Resumed("d"),
    Mismatch("e"),
    Progress("images", 1, 2),
    Epoch("training", 1, 2, "loss 0.500", loss=0.5),
)


def test_each_kind_has_its_own_name_and_stays_as_it_is() -> None:
    assert len({event.event for event in EVENTS}) == len(EVENTS)
    with pytest.raises(FrozenInstanceError):
        EVENTS[0].event = "other"  # type: ignore[misc]
    assert silent(EVENTS[0]) is None  # type: ignore[func-returns-value]


def test_as_json_an_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(as_json=True) as report:
        for event in EVENTS:
            report(event)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == [event.event for event in EVENTS]
    assert lines[0] == {"text": "a", "event": "message"}
    assert {"title": "training", "done": 1, "total": 2, "loss": 0.5}.items() <= lines[-1].items()


def test_messages_are_lines_and_bars_are_for_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress(as_json=False) as report:
        for event in EVENTS:
            report(event)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "a\nb\nc\nd\ne\n")
