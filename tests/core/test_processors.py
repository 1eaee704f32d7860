from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyml.core.errors import DataError, InputError
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.processor import Processor
from tinyml.core.recording_processor import RecordingProcessor, resample, window_starts
from tinyml.core.typed_json import from_json, to_json

LABELS = ("Present", "Unknown", "Absent")
HEART = RecordingProcessor(LABELS, window=6000, hop=3000, rate_hz=1000, min_rate_hz=500)


def tone(seconds: float, rate_hz: int, frequency_hz: float = 50.0) -> np.ndarray:
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.sin(2 * np.pi * frequency_hz * time).astype(np.float32)


@given(size=st.integers(10, 500), window=st.integers(1, 10), hop=st.integers(1, 10))
def test_windows_cover_the_recording_and_stay_inside(size: int, window: int, hop: int) -> None:
    starts = window_starts(size, window, hop)
    assert starts[0] == 0
    assert starts[-1] + window <= size
    assert starts == sorted(set(starts))
    if hop <= window:
        assert starts[-1] + window == size
        assert all(b - a <= hop for a, b in pairwise(starts))


def test_a_recording_at_another_rate_becomes_the_same_windows() -> None:
    here, there = HEART.preprocess(tone(20, 1000), 1000), HEART.preprocess(tone(20, 4000), 4000)
    assert here.shape == there.shape == (6, 6000)
    inner = np.s_[1:-1]
    assert np.max(np.abs(here[inner] - there[inner])) < 2e-3


def test_resampling_keeps_level_and_length() -> None:
    up = resample(tone(2, 1000), Fraction(8, 3))
    assert up.size == -(-2000 * 8 // 3)
    assert np.max(np.abs(up[500:-500])) == pytest.approx(1.0, abs=5e-3)


def test_the_whole_recording_can_be_squeezed() -> None:
    squeeze = RecordingProcessor(LABELS, window=1000, hop=1, rate_hz=0, whole=True)
    for size in (700, 4001, 65537):
        assert squeeze.preprocess(tone(size / 1000, 1000, 2.0), 1000).shape == (1, 1000)


@pytest.mark.parametrize(
    ("samples", "rate_hz", "message"),
    [
        (tone(20, 400), 400, "at least 500 Hz"),
        (np.zeros(9000, np.float32), 1000, "silent"),
        (np.full(9000, np.nan, np.float32), 1000, "NaN"),
        (tone(5, 1000), 1000, "lasts 5.00 s, one window takes 6.00 s"),
        (tone(6, 1000)[1:], 1000, "lasts 5.999 s, one window takes 6.000 s"),
    ],
)
def test_a_recording_that_cannot_be_judged_is_refused(
    samples: np.ndarray, rate_hz: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        HEART.preprocess(samples, rate_hz)


def test_thresholds_are_asked_worst_first() -> None:
    strict = RecordingProcessor(LABELS, 1, 1, 1, thresholds=(0.3, 0.2))
    probabilities = np.array([[0.31, 0.0, 0.69], [0.2, 0.25, 0.55], [0.1, 0.1, 0.8]], np.float32)
    assert [strict.postprocess(row) for row in probabilities] == [0, 1, 2]
    assert HEART.postprocess(probabilities[0]) == 2
    assert strict.margin(probabilities[0]) == pytest.approx(0.01, abs=1e-6)
    assert HEART.margin(probabilities[0]) == pytest.approx(0.38, abs=1e-6)


def test_a_processor_survives_json_and_refuses_nonsense() -> None:
    strict = RecordingProcessor(LABELS, 1, 1, 1, thresholds=(0.3, 0.2))
    pictures = ImageProcessor(LABELS, 8, mean=(0.5,), std=(0.25,))
    for processor in (strict, pictures):
        assert from_json(Processor, to_json(processor)) == processor
    unkind = {name: value for name, value in to_json(strict).items() if name != "kind"}
    assert from_json(Processor, unkind) == strict
    for kind in ("sound", None, ["image"]):
        with pytest.raises(InputError, match="kind: invalid enum value"):
            from_json(Processor, {**unkind, "kind": kind})
    with pytest.raises(InputError, match="thresholds"):
        RecordingProcessor(LABELS, 1, 1, 1, thresholds=(0.3,))
    with pytest.raises(InputError, match="positive"):
        RecordingProcessor(LABELS, 0, 1, 1)
    with pytest.raises(InputError, match="neither"):
        RecordingProcessor(LABELS, 1, 1, 1, aggregation="median")  # type: ignore[arg-type]


def test_mean_and_max_aggregate_windows() -> None:
    windows = np.array([[0.2, 0.8], [0.6, 0.4]], np.float32)
    assert np.allclose(RecordingProcessor(("a", "b"), 1, 1, 1).aggregate(windows), [0.4, 0.6])
    assert np.allclose(
        RecordingProcessor(("a", "b"), 1, 1, 1, aggregation="max").aggregate(windows), [0.6, 0.8]
    )
