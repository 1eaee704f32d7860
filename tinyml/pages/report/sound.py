"""Samples as a WAV file that every browser plays."""

from __future__ import annotations

import io
import wave
from fractions import Fraction

import numpy as np

from tinyml.core.recording_processor import resample
from tinyml.core.spec import Array

# A report may hold a dozen: 16 bits, short, and no band that a small model does not hear.
SECONDS, MOST_HZ = 6, 16_000
PEAK = 0.9
FULL = 32767


def wav(samples: Array, rate_hz: int) -> bytes:
    """The first `SECONDS` of ``samples`` [time], as loud as the format allows."""
    part = np.asarray(samples[: SECONDS * rate_hz], np.float32)
    if rate_hz > MOST_HZ:
        part, rate_hz = resample(part, Fraction(MOST_HZ, rate_hz)), MOST_HZ
    peak = float(np.abs(part).max(initial=0.0))
    scaled = part * (PEAK * FULL / peak) if peak > 0 else part
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.round(scaled).astype("<i2").tobytes())
    return content.getvalue()
