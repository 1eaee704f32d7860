"""One seed -> one broken file, by a seeded random choice: the same number, the same bytes."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import mutate_values
from seeds import DATA

WORDS = (0, 1, 2, 4, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 20, 0x7FFFFFFF, 0x80000000)
OUTSIDE = ("../" + DATA, "/etc/passwd", "link.bin", "missing.bin", "", "C:\\data", ".", "a/../b")
NUMBERS = ("-1", "99999999999999999999", "x", "1025", "0", "")
Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], bytes]


def flip(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """A few bytes become others."""
    for _turn in range(rng.choice((1, 2, 4, 16))):
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(data)


def truncate(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    return bytes(data[: rng.randrange(len(data))])


def splice(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """A piece of another file, or of this one, over or into this one."""
    other = rng.choice((*others, bytes(data)))
    start, size = rng.randrange(len(other)), rng.choice((4, 16, 64, 256))
    piece, place = other[start : start + size], rng.randrange(len(data))
    kept = place if rng.random() < 0.5 else place + len(piece)
    return bytes(data[:place]) + piece + bytes(data[kept:])


def offset(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """A pointer leads where another one leads: shared, cyclic or of another kind."""
    pointers = [p for p in range(0, len(data) - 4, 4) if 4 <= _word(data, p) < len(data) - p]
    for _turn in range(rng.choice((1, 1, 3))):
        place, other = rng.choice(pointers), rng.choice(pointers)
        aim = other + _word(data, other) + rng.choice((0, 0, 4, -4))
        struct.pack_into("<I", data, place, (aim - place) & 0xFFFFFFFF)
    return bytes(data)


def length(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """A word becomes one that sizes and offsets fail at."""
    for _turn in range(rng.choice((1, 1, 3))):
        place = 4 * rng.randrange(len(data) // 4)
        value = rng.choice((*WORDS, len(data), len(data) - place, (-place) & 0xFFFFFFFF))
        struct.pack_into("<I", data, place, value)
    return bytes(data)


def vtable(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """An entry of a vtable, or its size, becomes another."""
    tables = {p - struct.unpack_from("<i", data, p)[0] for p in range(0, len(data) - 4, 4)}
    found = [v for v in sorted(tables) if 0 <= v < len(data) - 40 and 4 <= data[v] <= 40]
    if found:
        place = rng.choice(found)
        entry = place + 2 * rng.randrange(data[place] // 2)
        struct.pack_into("<H", data, entry, rng.choice((0, 4, 5, 8, 12, 0x7FFF, 0xFFFF)))
    return bytes(data)


def edit(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """A whole ONNX message that says something else: names, shapes, numbers, places."""
    import onnx

    model = onnx.ModelProto.FromString(bytes(data))
    names = [n for node in model.graph.node for n in (*node.input, *node.output)]
    for _turn in range(rng.choice((1, 2, 4))):
        node = rng.choice(model.graph.node)
        what = rng.randrange(8)
        if what == 0 and node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice((*names, ""))
        elif what == 1:
            node.op_type = rng.choice([n.op_type for n in model.graph.node] + ["Identity", "Twice"])
        elif what == 2:
            del node.input[rng.randrange(len(node.input) + 1) :]
        elif what == 3 and node.attribute:
            rng.choice(node.attribute).i = rng.choice((-1, 0, 1 << 40, -(1 << 63)))
        elif what == 4 and model.graph.initializer:
            tensor = rng.choice(model.graph.initializer)
            tensor.dims.append(rng.choice((-1, 0, 1, 1 << 40)))
        elif what == 5 and model.graph.initializer:
            rng.choice(model.graph.initializer).data_type = rng.randrange(28)
        elif what == 6 and model.functions:
            model.functions[0].node.add(op_type="Twice", domain="mine", input="i", output="z")
        else:
            _move(model, rng)
    return bytes(model.SerializeToString())


def _move(model: object, rng: random.Random) -> None:
    for tensor in model.graph.initializer:  # type: ignore[attr-defined]
        for entry in tensor.external_data:
            if rng.random() < 0.5:
                entry.value = rng.choice(OUTSIDE if entry.key == "location" else NUMBERS)


def _word(data: bytearray, place: int) -> int:
    return int(struct.unpack_from("<I", data, place)[0])


BYTES: tuple[Mutation, ...] = (flip, truncate, splice, length)
OF_SUFFIX: dict[str, tuple[Mutation, ...]] = {
    ".tflite": (*BYTES, offset, offset, vtable, length),
    ".onnx": (*BYTES, edit, edit, edit),
    ".json": (*BYTES, *[mutate_values.value] * 8),
    ".toml": (*BYTES, *[mutate_values.literal] * 8),
    ".safetensors": (*BYTES, *[mutate_values.tensors] * 8),
    ".npz": (*BYTES, *[mutate_values.archive] * 8),
    ".npy": (*BYTES, *[mutate_values.array] * 4),
}


def mutated(seeds: Sequence[Path], seed: int, number: int) -> tuple[str, bytes]:
    """(name, bytes) of broken file ``number``; one in four is broken twice."""
    rng = random.Random(f"{seed}:{number}")
    start = rng.choice(seeds)
    data = start.read_bytes()
    others = [path.read_bytes() for path in seeds if path.suffix == start.suffix]
    mutation = rng.choice(OF_SUFFIX[start.suffix])
    data = mutation(bytearray(data), rng, others)
    if data and rng.random() < 0.25:
        data = flip(bytearray(data), rng, others)
    return f"{start.stem}-{mutation.__name__}-{seed}-{number}{start.suffix}", data
