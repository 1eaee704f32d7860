"""Mutations of files that hold values: any value in any place, and headers that are not true."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Sequence
from typing import Any

DEEP = 3000
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, 2**70, 0.5, -0.0, 1e308, float("nan")),
    *(float("inf"), "", "x", "a/b", "../x", "/etc/passwd", "\x00", "\x1b[31m", "\ud800", "é"),
    *("onnx", "tflite", "int8", "float32", "inf", [], {}, [[]], [None], ["x"], {"": {}}),
    *({"a": 1}, [1, 2, 3], "long" * 500),
)
LITERALS = (
    *("nan", "inf", "-inf", "1e999", "9" * 5000, "0", "-1", "true", '""', '"x"', "[]", "{}"),
    *("[[1]]", "{a = 1}", "1979-05-27", "07:32:00", "[1, 'a']", "[" * DEEP + "]" * DEEP),
)
SHAPES = ("(10000000000,)", "(-1,)", "(0,)", "()", "3", "('a',)", "(True,)", "(1,) * 9", "(2,2)")
KINDS = ("|O", "<f4", "<f8", ">f4", "<U9", "|V0", "|S0", "<M8", "nothing", "<c16", "|b1")


def value(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """Of JSON: values become others, or go, or get another name."""
    return _changed(bytes(data), rng)


def literal(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """Of TOML: a line's value, name or section becomes another, or the line comes twice."""
    lines = data.decode().splitlines()
    for _turn in range(rng.choice((1, 1, 3))):
        place = rng.randrange(len(lines))
        name, equal, _own = lines[place].partition("=")
        how = rng.randrange(4)
        if how == 0:
            lines.insert(rng.randrange(len(lines)), lines[place])
        elif how == 1:
            lines[place] = rng.choice(("[", "[x]", "[train]", "[[export]]", "= 3", "a.b.c = 1", ""))
        elif equal:
            lines[place] = f"{name if how == 2 else name.strip() + 'x'} = {rng.choice(LITERALS)}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def tensors(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """Of safetensors: the header says something else, or the JSON text inside of it."""
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    own = header.get("__metadata__", {}).get("tinyml")
    if own is not None and rng.random() < 0.7:
        header["__metadata__"]["tinyml"] = _changed(own.encode(), rng).decode("utf-8", "replace")
        text = json.dumps(header).encode()
    else:
        text = _changed(json.dumps(header).encode(), rng)
    length = rng.choice((len(text),) * 6 + (0, 1 << 40, len(text) - 1, (1 << 64) - 1))
    return struct.pack("<Q", length) + text + bytes(data[8 + size :])


def archive(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """Of .npz: a member's header, values, flags, sizes, method or name are others."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if rng.random() < 0.7:
                content = array(bytearray(content), rng, ())
            name = member.filename if rng.random() < 0.9 else rng.choice(("x", "../x.npy", ".npy"))
            new.writestr(name, content, rng.choice((0, 8, 8, 12, 14)))
    content = bytearray(made.getvalue())
    if rng.random() < 0.5:
        for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            places = [own.start() for own in re.finditer(re.escape(mark), content)]
            content[rng.choice(places) + at + rng.choice((0, 2))] ^= rng.choice((1, 8, 9, 64))
    return bytes(content)


def array(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """Of .npy: its header, values or version are others."""
    (size,) = struct.unpack_from("<H", content, 8)
    header, values = content[10 : 10 + size].decode(), content[10 + size :]
    how = rng.randrange(5)
    if how == 0:
        header = re.sub(r"\(.*?\)", lambda _: rng.choice(SHAPES), header)
    elif how == 1:
        header = re.sub(r"'[<|>=]\w+'", lambda _: repr(rng.choice(KINDS)), header)
    elif how == 2:
        header = rng.choice(("", "{", "[" * 9000, "{}", "1", "{'descr': (1, 2)}", "(" * 500, "x"))
    elif how == 3:
        values = rng.choice((b"", values * 2, values[:-1]))
    version = rng.choice((1, 1, 1, 2, 3, 9))
    text = header.encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes((version, 0)) + length + text + values


def _changed(text: bytes, rng: random.Random) -> bytes:
    data = json.loads(text)
    for _turn in range(rng.choice((1, 1, 2, 4))):
        holders = [own for own in _holders(data) if own]
        if not holders:
            break
        holder = rng.choice(holders)
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        how = rng.randrange(6)
        if how == 0:
            del holder[key]
        elif how == 1 and isinstance(holder, dict):
            name = rng.choice(("", "schema", "x", "\x00", "facts", "images", "kind"))
            holder[name] = copy.deepcopy(holder[key])
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    made = json.dumps(data)
    if rng.random() < 0.05:
        made = made.replace(rng.choice(("1", '"', "}")), rng.choice(("[" * DEEP, "9" * 5000)), 1)
    return made.encode()


def _holders(data: Any) -> list[Any]:
    """Every mapping and list in ``data``; of long lists the first entries."""
    if not isinstance(data, dict | list):
        return []
    inside = list(data.values()) if isinstance(data, dict) else data[:4]
    return [data, *(own for value in inside for own in _holders(value))]
