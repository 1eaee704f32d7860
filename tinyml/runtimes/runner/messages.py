"""Messages between two processes, or in a file: a head of JSON values, and arrays by name.

    magic | bytes of the head, bytes of the arrays, CRC-32 of both | head | arrays

``arrays`` of the head are (name, dtype, shape) of each array. Nothing is unpickled. What does not
begin as a message does, such as a greeting, is refused before anything else is read.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

Arrays = dict[str, Any]

MAGIC = b"\x00tinyml1"
LENGTHS = struct.Struct(">IQI")
MOST_HEAD = 16 << 20
MOST_ARRAYS = 4 << 30
NUMBERS = "biufc"  # kinds of numpy that a message may carry
SHOWN = 30


def send(stream: IO[bytes], head: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write one message."""
    told = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    text = json.dumps(dict(head, arrays=told)).encode()
    parts = [np.ascontiguousarray(array).tobytes() for array in arrays.values()]
    check = zlib.crc32(text)
    for part in parts:
        check = zlib.crc32(part, check)
    stream.write(MAGIC + LENGTHS.pack(len(text), sum(map(len, parts)), check) + text)
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes], most: int = MOST_ARRAYS) -> tuple[dict[str, Any], Arrays]:
    """Read one message, with at most ``most`` bytes of arrays.

    Raises `EOFError` where the stream ends before or in it, `ValueError` for what is not one.
    """
    start = _exactly(stream, 1)
    if start == MAGIC[:1]:
        start += _exactly(stream, len(MAGIC) - 1)
    if start != MAGIC:
        shown = (start + _more(stream))[:SHOWN].decode(errors="backslashreplace")
        raise ValueError("it begins with {!r}".format(shown))
    head_size, size, check = LENGTHS.unpack(_exactly(stream, LENGTHS.size))
    if head_size > MOST_HEAD or size > most:
        raise ValueError("it is too long: {} bytes".format(head_size + size))
    text = _exactly(stream, head_size)
    head = json.loads(text)
    if not isinstance(head, dict) or not isinstance(head.get("arrays"), list):
        raise ValueError("it lacks its arrays")
    specs = [_spec(told) for told in head.pop("arrays")]
    if sum(bytes_of(dtype, shape) for _, dtype, shape in specs) != size:
        raise ValueError("its arrays have another size")
    arrays, found = {}, zlib.crc32(text)
    for name, dtype, shape in specs:
        data = bytearray(_exactly(stream, bytes_of(dtype, shape)))
        found = zlib.crc32(data, found)
        arrays[name] = np.frombuffer(data, dtype).reshape(shape) if data else np.empty(shape, dtype)
    if found != check:
        raise ValueError("its checksum is wrong")
    return head, arrays


def bytes_of(dtype: Any, shape: list[int]) -> int:
    """Of an array."""
    return int(math.prod(shape) * np.dtype(dtype).itemsize)


def _spec(told: Any) -> tuple[str, Any, list[int]]:
    """Name, dtype and shape, as numbers of some size."""
    try:
        name, kind, shape = told
        dtype, sizes = np.dtype(str(kind)), [int(size) for size in shape]
    except TypeError as error:
        raise ValueError("an array is described as {}".format(told)) from error
    if dtype.kind not in NUMBERS or any(size < 0 for size in sizes):
        raise ValueError("an array of {} of the shape {}".format(kind, shape))
    return str(name), dtype, sizes


def _more(stream: IO[bytes]) -> bytes:
    """What follows and is here already, to show it; nothing of a stream that cannot tell."""
    peek = getattr(stream, "peek", None)
    found: bytes = peek(SHOWN) if peek is not None else b""
    return found


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data
