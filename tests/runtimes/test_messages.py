"""The messages of processes that compute for others: whole, or refused."""

from __future__ import annotations

import io
import json
import zlib

import numpy as np
import pytest

from tinyml.runtimes.runner.messages import LENGTHS, MAGIC, receive, send


def sent(head: dict[str, object], arrays: dict[str, object]) -> bytes:
    stream = io.BytesIO()
    send(stream, head, arrays)
    return stream.getvalue()


def message(text: bytes, body: bytes = b"") -> bytes:
    check = zlib.crc32(body, zlib.crc32(text))
    return MAGIC + LENGTHS.pack(len(text), len(body), check) + text + body


def test_what_was_sent_is_received_and_can_be_written_to() -> None:
    arrays = {
        "x": np.arange(6, dtype=np.float32).reshape(2, 3).T,  # not contiguous
        "none": np.zeros((0, 3), np.int64),
        "one": np.array(True),
        "name with a space, é": np.arange(3, dtype=">i2"),
    }
    stream = io.BytesIO(sent({"a": [1, "é"]}, arrays) * 2)
    for _ in range(2):
        head, found = receive(stream)
        assert head == {"a": [1, "é"]}
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            assert np.array_equal(found[name], array)
        found["x"][0, 0] = 7
    with pytest.raises(EOFError):
        receive(stream)


@pytest.mark.parametrize(
    "data",
    [
        b"Welcome to Raspberry Pi OS\n",
        b"\x00",
        MAGIC[:-1] + b"2" + bytes(LENGTHS.size),
        MAGIC + LENGTHS.pack(0xFFFFFFFF, 0, 0),
        MAGIC + LENGTHS.pack(2, 1 << 60, 0) + b"{}",
        message(b"[]"),
        message(b"{}"),
        message(b"nonsense"),
        message(b'{"arrays": [["a", "|O", [1]]]}', bytes(8)),
        message(b'{"arrays": [["a", "<f4", [-1]]]}'),
        message(b'{"arrays": [["a", "<f4", [2]]]}', bytes(4)),
        message(b'{"arrays": [["a", "<f4", 2]]}', bytes(8)),
        message(b'{"arrays": [["a", "nonsense", [2]]]}', bytes(8)),
        message(b'{"arrays": [["a"]]}'),
        message(b'{"arrays": []}').replace(b"[]", b"{}"),
    ],
)
def test_what_is_not_a_message_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, EOFError), match=r".*") as caught:
        receive(io.BytesIO(data))
    assert caught.type in (ValueError, json.JSONDecodeError) or data == b"\x00"


def test_a_flipped_bit_of_an_array_is_noticed() -> None:
    data = bytearray(sent({}, {"x": np.ones(4, np.float32)}))
    data[-1] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        receive(io.BytesIO(bytes(data)))


def test_a_greeting_is_shown() -> None:
    stream = io.BufferedReader(io.BytesIO(b"Welcome to Raspberry Pi OS\n"))
    with pytest.raises(ValueError, match="it begins with 'Welcome to Raspberry"):
        receive(stream)


def test_more_than_is_expected_is_not_read() -> None:
    with pytest.raises(ValueError, match="too long"):
        receive(io.BytesIO(sent({}, {"x": np.ones(100)})), most=799)


@pytest.mark.parametrize("cut", [0, 1, 5, 20, 40, -1])
def test_a_message_that_is_cut_off_is_the_end(cut: int) -> None:
    with pytest.raises(EOFError):
        receive(io.BytesIO(sent({"signature": 1}, {"x": np.ones(4)})[:cut]))
