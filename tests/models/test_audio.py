"""Recordings are read alike whatever their encoding, and bad files are named."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tinyml.core.errors import DataError
from tinyml.models.data.audio import read_audio

RATE = 4000
TONE = (0.5 * np.sin(np.arange(RATE) / 7)).astype(np.float32)


def write(path: Path, samples: np.ndarray = TONE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, RATE, subtype=subtype)
    return path


@pytest.mark.parametrize(
    ("name", "subtype", "step"),
    [
        ("a.wav", "PCM_U8", 2**-7),
        ("a.wav", "PCM_16", 2**-15),
        ("a.wav", "PCM_24", 2**-23),
        ("a.wav", "PCM_32", 2**-24),
        ("a.wav", "FLOAT", 0.0),
        ("a.wav", "DOUBLE", 0.0),
        ("a.flac", "PCM_16", 2**-15),
    ],
)
def test_every_encoding_gives_the_samples_at_full_scale_1(
    tmp_path: Path, name: str, subtype: str, step: float
) -> None:
    samples, rate_hz = read_audio(write(tmp_path / name, subtype=subtype))
    assert (samples.dtype, samples.shape, rate_hz) == (np.float32, TONE.shape, RATE)
    assert np.max(np.abs(samples - TONE)) <= step


def test_stereo_is_averaged(tmp_path: Path) -> None:
    stereo = np.stack([TONE, 0.5 * TONE], axis=1)
    samples, _ = read_audio(write(tmp_path / "s.wav", stereo, "FLOAT"))
    np.testing.assert_allclose(samples, 0.75 * TONE, atol=1e-7)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_streamed_wav_without_a_length_is_read(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "s.wav")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(data)
    samples, _ = read_audio(path)
    assert np.max(np.abs(samples - TONE)) <= 2**-15


def test_a_chunk_after_the_samples_is_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "s.wav")
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert read_audio(path)[0].size == TONE.size


def test_what_is_no_recording_is_named_and_said(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("hello")
    bad = {
        "does not exist": tmp_path / "missing.wav",
        "is empty": tmp_path / "empty.wav",
        "not audio": tmp_path / "text.wav",
        "is a folder": tmp_path,
        "3 channels": write(tmp_path / "three.wav", np.stack([TONE] * 3, 1)),
        "NaN": write(tmp_path / "nan.wav", np.full_like(TONE, np.nan), "FLOAT"),
        "infinite": write(tmp_path / "inf.wav", np.full_like(TONE, np.inf), "FLOAT"),
        "no samples": write(tmp_path / "none.wav", TONE[:0]),
    }
    for word, path in bad.items():
        with pytest.raises(DataError, match=word) as caught:
            read_audio(path)
        assert path.name in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize("name", ["cut.wav", "cut.flac"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, part: float) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 8 * RATE).astype(np.float32)
    path = write(tmp_path / name, noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(DataError, match="truncated") as caught:
        read_audio(path)
    assert name in caught.value.message
