"""Is every offset of a .tflite file inside of it, and is what they lead to bounded?

The generated reader trusts offsets: one that is wrong makes it read elsewhere, and many that
lead to one place make a small file a large model. Here each is followed once before anything
is read, with the schema's pointers of `file_schema` and the limits of `file_limits`. The
schema has no table within itself, so the walk's depth is that of the schema.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinyml.modelfile.limits import MOST_TABLES, VISITED_LEAST, VISITED_PER_BYTE
from tinyml.modelfile.tflite_schema import ROOT, TABLES

_U32, _I32, _U16 = (struct.Struct(f"<{code}") for code in "IiH")
Unions = Mapping[str, Mapping[int, str]]


class UnsoundError(Exception):
    """An offset that leads nowhere, or too much of something; says where."""


def unions(schema: Any) -> Unions:
    """Union -> number -> table, from the generated classes."""
    names = {kind.strip("|") for slots in TABLES.values() for kind in slots.values() if "|" in kind}
    return {
        union: {n: name for name, n in vars(getattr(schema, union)).items() if isinstance(n, int)}
        for union in names
    }


def verify_flatbuffer(data: bytes, members: Unions) -> None:
    """Raise `UnsoundError` unless every pointer of ``data`` is sound; ``members``: `unions`."""
    _Walk(data, members).table(_read(_U32, data, 0, "the root"), ROOT)


def _read(kind: struct.Struct, data: bytes, place: int, where: str) -> int:
    if not 0 <= place <= len(data) - kind.size:
        raise UnsoundError(f"an offset outside of the file, at {where}")
    return int(kind.unpack_from(data, place)[0])


@dataclass(slots=True)
class _Walk:
    """``left`` tables and bytes that may still be visited."""

    data: bytes
    members: Unions
    tables_left: int = MOST_TABLES
    bytes_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.bytes_left = max(VISITED_LEAST, VISITED_PER_BYTE * len(self.data))

    def table(self, place: int, name: str) -> None:
        """The table at ``place`` and all that it leads to."""
        vtable = place - _read(_I32, self.data, place, name)
        entries = _read(_U16, self.data, vtable, name)
        inline = _read(_U16, self.data, vtable + 2, name)
        self.tables_left -= 1
        if self.tables_left < 0:
            raise UnsoundError(f"more than {MOST_TABLES:,} tables")
        if entries < 4 or entries % 2 or vtable + entries > len(self.data):
            raise UnsoundError(f"a table without its fields, at {name}")
        self.visit(place, inline, name)
        fields = struct.unpack_from(f"<{entries // 2 - 2}H", self.data, vtable + 4)
        if any(offset >= inline for offset in fields if offset):
            raise UnsoundError(f"a field outside of its table, at {name}")
        for slot, kind in TABLES.get(name, {}).items():
            if slot < len(fields) and fields[slot]:
                where = place + fields[slot]
                union = self.member(place, fields, slot, kind) if kind[0] == "|" else kind
                self.follow(where + _read(_U32, self.data, where, name), union, name)

    def member(self, place: int, fields: tuple[int, ...], slot: int, kind: str) -> str:
        """The table that the slot before says, of the union ``kind``."""
        number = self.data[place + fields[slot - 1]] if fields[slot - 1] else 0
        # The generated reader leaves out a member of a schema newer than its own.
        return self.members[kind.strip("|")].get(number, "NONE")

    def follow(self, place: int, kind: str, name: str) -> None:
        if kind == "NONE":
            return
        if kind == "string":
            self.visit(place + 4, self.length(place, name) + 1, name)
        elif kind[0] != "[":
            self.table(place, kind)
        elif kind[1:-1].isdigit():
            self.visit(place + 4, self.length(place, name) * int(kind[1:-1]), name)
        else:
            self.every_table(place, kind[1:-1], name)

    def every_table(self, place: int, kind: str, name: str) -> None:
        count = self.length(place, name)
        self.visit(place + 4, 4 * count, name)
        for entry in range(place + 4, place + 4 + 4 * count, 4):
            self.table(entry + _U32.unpack_from(self.data, entry)[0], kind)

    def length(self, place: int, name: str) -> int:
        return _read(_U32, self.data, place, name)

    def visit(self, place: int, size: int, name: str) -> None:
        """Count ``size`` bytes from ``place`` on, which have to be there."""
        if place + size > len(self.data):
            raise UnsoundError(f"{size:,} bytes that the file does not have, at {name}")
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise UnsoundError("many pointers to one place")
