"""From windows to recordings to persons: the one way that training, evaluation and use share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinyml.decision import Decision, Floats
from tinyml.errors import DataError
from tinyml.models.data.recordings import Recording

Report = Callable[[Mapping[str, Any]], None]


def cut_windows(decision: Decision, recording: Recording) -> Floats:
    """The windows [n, window] of ``recording``; a `DataError` names it."""
    try:
        return decision.windows(*recording.load())
    except DataError as error:
        if recording.id in error.message:
            raise
        raise DataError(f"recording {recording.id}: {error.message}", hint=error.hint) from error


def predict_recordings(
    answer_windows: Callable[[Floats], Floats],
    decision: Decision,
    recordings: Sequence[Recording],
    report: Report | None = None,
) -> list[Floats]:
    """Probabilities [classes] of each recording.

    ``answer_windows`` takes windows [n, window] to probabilities [n, classes]. Raises
    `DataError` naming a recording that cannot be cut into windows.
    """
    answers: list[Floats] = []
    for done, recording in enumerate(recordings, 1):
        windows = cut_windows(decision, recording)
        answers.append(decision.aggregate(answer_windows(windows)))
        if report is not None:
            report({"title": "recordings", "done": done, "total": len(recordings)})
    return answers


def by_recording(decision: Decision, windows: Floats, counts: Iterable[int]) -> list[Floats]:
    """[n, classes] of the windows of recordings in turn, ``counts`` each -> [classes] each."""
    ends = np.cumsum(list(counts))
    return [decision.aggregate(part) for part in np.split(windows, ends[:-1])]


def by_person(
    decision: Decision, persons: Sequence[str], recordings: Sequence[Floats]
) -> dict[str, Floats]:
    """Each recording's person and probabilities [classes] -> person -> [classes].

    Persons keep the order of their first recording.
    """
    parts: dict[str, list[Floats]] = {}
    for person, probabilities in zip(persons, recordings, strict=True):
        parts.setdefault(person, []).append(probabilities)
    return {person: decision.aggregate(np.stack(own)) for person, own in parts.items()}
