"""From windows to recordings to subjects: the one way that training, evaluation and use share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from tinyml.core.errors import DataError, ValidationError
from tinyml.core.events import Progress, Report
from tinyml.core.processor import Floats
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.models.data.recordings import Recording


@contextlib.contextmanager
def named(recording: str) -> Iterator[None]:
    """Name ``recording`` in a `DataError` or `ValidationError` that does not name it."""
    try:
        yield
    except (DataError, ValidationError) as error:
        if recording in error.message:
            raise
        message = f"recording {recording}: {error.message}"
        raise type(error)(message, hint=error.hint) from error


def cut_windows(processor: RecordingProcessor, recording: Recording) -> Floats:
    """The windows [n, window] of ``recording``; a `DataError` names it."""
    with named(recording.id):
        return processor.preprocess(*recording.load())


def predict_recordings(
    classify_windows: Callable[[Floats], Floats],
    processor: RecordingProcessor,
    recordings: Sequence[Recording],
    report: Report | None = None,
) -> list[Floats]:
    """Probabilities [classes] of each recording.

    ``classify_windows`` takes windows [n, window] to probabilities [n, classes]. Raises
    `DataError` naming a recording that cannot be cut into windows, `ValidationError` one
    whose outputs are not finite.
    """
    outputs: list[Floats] = []
    for done, recording in enumerate(recordings, 1):
        windows = cut_windows(processor, recording)
        with named(recording.id):
            outputs.append(processor.aggregate(classify_windows(windows)))
        if report is not None:
            report(Progress("recordings", done, len(recordings)))
    return outputs


def by_recording(
    processor: RecordingProcessor, windows: Floats, counts: Iterable[int]
) -> list[Floats]:
    """[n, classes] of the windows of recordings in turn, ``counts`` each -> [classes] each."""
    ends = np.cumsum(list(counts))
    return [processor.aggregate(part) for part in np.split(windows, ends[:-1])]


def by_subject(
    processor: RecordingProcessor, subjects: Sequence[str], recordings: Sequence[Floats]
) -> dict[str, Floats]:
    """Each recording's subject and probabilities [classes] -> subject -> [classes].

    Subjects keep the order of their first recording.
    """
    parts: dict[str, list[Floats]] = {}
    for subject, probabilities in zip(subjects, recordings, strict=True):
        parts.setdefault(subject, []).append(probabilities)
    return {subject: processor.aggregate(np.stack(rows)) for subject, rows in parts.items()}
