"""Is a protobuf message whole, and is what it unpacks to bounded?

An empty message within a message is two bytes in the file and a hundred in memory. So its
fields are counted before protobuf reads them, along the message's own descriptor; text and
packed numbers grow eightfold at most and are stepped over.
"""

from __future__ import annotations

from typing import Any

from tinyml.modelfile.limits import DEEPEST, MOST_FIELDS

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10


class UnsoundError(Exception):
    """Not a message, or too much of one; says what."""


def verify_protobuf(data: bytes, descriptor: Any) -> None:
    """Raise `UnsoundError` unless ``data`` is a bounded message of ``descriptor``'s kind."""
    messages = _nested(descriptor, {})
    # (from, to, its kind): spans that are messages of their own, none of them visited twice.
    waiting = [(0, len(data), descriptor.full_name, 0)]
    fields = 0
    while waiting:
        place, end, kind, depth = waiting.pop()
        if depth > DEEPEST:
            raise UnsoundError(f"messages within each other {DEEPEST} deep")
        inner = messages[kind]
        while place < end:
            key, place = _varint(data, place, end)
            after = _after(data, place, end, key & 7)
            if key & 7 == _LENGTH and key >> 3 in inner:
                start = _varint(data, place, end)[1]
                waiting.append((start, after, inner[key >> 3], depth + 1))
            place = after
            fields += 1
            if fields > MOST_FIELDS:
                raise UnsoundError(f"more than {MOST_FIELDS:,} fields")


def _nested(descriptor: Any, found: dict[str, dict[int, str]]) -> dict[str, dict[int, str]]:
    """Message -> its fields that are messages -> which."""
    if descriptor.full_name not in found:
        inner = {f.number: f.message_type for f in descriptor.fields if f.message_type}
        found[descriptor.full_name] = {number: kind.full_name for number, kind in inner.items()}
        for kind in inner.values():
            _nested(kind, found)
    return found


def _after(data: bytes, place: int, end: int, wire: int) -> int:
    """Where the value at ``place`` ends."""
    if wire == _VARINT:
        return _varint(data, place, end)[1]
    if wire == _LENGTH:
        size, place = _varint(data, place, end)
    elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
        size = 8 if wire == _EIGHT_BYTES else 4
    else:
        raise UnsoundError(f"a value of the unknown wire type {wire}")
    if place + size > end:
        raise UnsoundError(f"a value of {size:,} bytes where {end - place:,} are left")
    return place + size


def _varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """(value, where it ends)."""
    value = 0
    for count in range(min(_LONGEST_VARINT, end - place)):
        byte = data[place + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, place + count + 1
    raise UnsoundError("a number that does not end")
