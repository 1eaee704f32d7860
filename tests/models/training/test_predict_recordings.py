"""From windows to recordings to subjects, in one way."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tinyml.core.errors import DataError
from tinyml.core.processor import Floats
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.models.data.recordings import Recording
from tinyml.models.training.predict import by_recording, by_subject, predict_recordings

PROCESSOR = RecordingProcessor(("bad", "good"), window=4, hop=2, rate_hz=4)


def recording(name: str, samples: list[float]) -> Recording:
    return Recording(name, "p", 0, lambda: (np.array(samples, np.float32), 4))


def means(windows: Floats) -> Floats:
    """A stand-in for a model: how high the window's mean is."""
    high = windows.mean(axis=1)
    return np.stack([high, 1 - high], axis=1)


def test_a_recording_is_the_aggregate_of_its_windows() -> None:
    said: list[object] = []
    long = recording("long", [1, 1, 1, 1, 0, 0])
    answers = predict_recordings(means, PROCESSOR, [long, recording("b", [1] * 4)], said.append)
    np.testing.assert_allclose(answers, [[0.75, 0.25], [1.0, 0.0]])
    assert [(event.done, event.total) for event in said] == [(1, 2), (2, 2)]


def test_a_recording_that_cannot_be_cut_is_named() -> None:
    with pytest.raises(DataError, match=r"recording short: .*lasts 0.50 s"):
        predict_recordings(means, PROCESSOR, [recording("short", [1, 1])])


def test_windows_in_a_row_are_parted_by_their_counts() -> None:
    windows = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    np.testing.assert_allclose(by_recording(PROCESSOR, windows, [2, 1]), [[0.5, 0.5], [0, 1]])


def test_a_subject_is_the_aggregate_of_their_recordings_in_first_order() -> None:
    rows = [np.array(row, np.float32) for row in ([1, 0], [0, 1], [0, 1])]
    found = by_subject(PROCESSOR, ["z", "a", "z"], rows)
    assert list(found) == ["z", "a"]
    np.testing.assert_allclose(found["z"], [0.5, 0.5])
    np.testing.assert_allclose(found["a"], [0, 1])


def test_predicting_needs_no_torch() -> None:
    code = "import sys, tinyml.models.training.predict; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
