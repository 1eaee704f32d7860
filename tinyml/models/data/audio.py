"""One way to read a recording from a file, and one clear line for each way it can be bad."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tinyml.core.errors import DataError, machine_errors
from tinyml.core.finite import is_finite
from tinyml.core.processor import Floats

STREAMED_SIZES = (0, 0xFFFFFFFF)
# What may follow a data chunk that is really empty.
CHUNKS_AFTER = (b"", b"LIST", b"id3 ", b"ID3 ", b"cue ", b"bext", b"smpl", b"fact")


def read_audio(path: Path) -> tuple[Floats, int]:
    """Samples [time], full scale 1, stereo averaged, and their rate in Hz.

    Takes wav (any PCM width, float) and flac. Raises `DataError` naming the file when it
    is missing, empty, truncated, not audio, or holds NaN or more than two channels.
    """
    _check_file(path)
    import soundfile

    try:
        with machine_errors(f"reading {path.name}"), soundfile.SoundFile(_opened(path)) as stream:
            promised, rate_hz = stream.frames, stream.samplerate
            samples = stream.read(dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise _broken(path) from error
    if len(samples) < promised:
        raise _broken(path)
    _check_samples(path, samples)
    with np.errstate(over="ignore"):  # what overflows is refused with what is not finite
        mono = np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))
    _check_finite(path, mono)
    return mono, int(rate_hz)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path} is a folder", hint="give a wav or flac file")
    if not path.is_file():
        raise DataError(f"{path} does not exist", hint="give a wav or flac file")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty", hint="record or copy it again")


def _opened(path: Path) -> BinaryIO:
    """The file's bytes; the size of a streamed wav is filled in.

    soundfile takes a size of 0 at its word and silently returns what is there of a data
    chunk that is cut. A recorder that streams cannot know the size beforehand and writes
    0 or all ones.
    """
    content = path.read_bytes()
    start = _samples_start(content)
    if start is None:
        return io.BytesIO(content)
    promised, there = int.from_bytes(content[start - 4 : start], "little"), len(content) - start
    if promised in STREAMED_SIZES and content[start : start + 4] not in CHUNKS_AFTER:
        size = min(there, 0xFFFFFFFE).to_bytes(4, "little")
        return io.BytesIO(content[: start - 4] + size + content[start:])
    if promised > there:
        raise DataError(
            f"{path} is truncated: its header declares {promised - there} bytes more",
            hint="record or copy it again",
        )
    return io.BytesIO(content)


def _samples_start(content: bytes) -> int | None:
    """Where the samples of a RIFF file begin; ``None`` for any other file."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return None
    at = 12
    while at + 8 <= len(content):
        if content[at : at + 4] == b"data":
            return at + 8
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return None


def _broken(path: Path) -> DataError:
    with path.open("rb") as stream:
        start = stream.read(4)
    if start in (b"RIFF", b"fLaC"):
        return DataError(
            f"{path} is broken: it starts like audio and cannot be decoded",
            hint="it may be truncated: record or copy it again",
        )
    return DataError(f"{path} is not audio that can be read", hint="give a wav or flac file")


def _check_samples(path: Path, samples: Floats) -> None:
    count, channels = samples.shape
    if channels > 2:
        raise DataError(
            f"{path} has {channels} channels, mono or stereo is taken",
            hint="extract the channel of the stethoscope",
        )
    if count == 0:
        raise DataError(f"{path} holds no samples", hint="record or copy it again")
    _check_finite(path, samples)


def _check_finite(path: Path, samples: Floats) -> None:
    if not is_finite(samples):
        raise DataError(
            f"{path} holds NaN or infinite samples", hint="write it again as PCM, or repair it"
        )
