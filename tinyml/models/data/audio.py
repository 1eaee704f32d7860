"""One way to read a recording from a file, and one clear line for each way it can be bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinyml.decision import Floats
from tinyml.errors import DataError, machine_errors

STREAMED_SIZES = (0, 0xFFFFFFFF)


def read_audio(path: Path) -> tuple[Floats, int]:
    """Samples [time], full scale 1, stereo averaged, and their rate in Hz.

    Takes wav (any PCM width, float) and flac. Raises `DataError` naming the file when it
    is missing, empty, truncated, not audio, or holds NaN or more than two channels.
    """
    _check_file(path)
    import soundfile

    try:
        with machine_errors(f"reading {path.name}"), soundfile.SoundFile(path) as stream:
            promised, rate_hz = stream.frames, stream.samplerate
            samples = stream.read(dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise _broken(path) from error
    if len(samples) < promised:
        raise _broken(path)
    _check_samples(path, samples)
    return np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32)), int(rate_hz)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path} is a folder", hint="give a wav or flac file")
    if not path.is_file():
        raise DataError(f"{path} does not exist", hint="give a wav or flac file")
    size = path.stat().st_size
    if size == 0:
        raise DataError(f"{path} is empty", hint="record or copy it again")
    missing = _missing_bytes(path, size)
    if missing > 0:
        raise DataError(
            f"{path} is truncated: its header promises {missing} bytes more",
            hint="record or copy it again",
        )


def _missing_bytes(path: Path, size: int) -> int:
    """How much shorter than its data chunk a RIFF file is; 0 for any other file.

    soundfile silently returns what is there. A recorder that streams cannot know the
    length beforehand and writes 0 or all ones.
    """
    with path.open("rb") as stream:
        head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return 0
        while len(chunk := stream.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                whole = length not in STREAMED_SIZES
                return stream.tell() + length - size if whole else 0
            stream.seek(length + length % 2, 1)
    return 0


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
    if not np.all(np.isfinite(samples)):
        raise DataError(
            f"{path} holds NaN or infinite samples", hint="write it again as PCM, or repair it"
        )
