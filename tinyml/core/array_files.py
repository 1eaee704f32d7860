"""Arrays from ``.npz`` and ``.npy`` files that may hold anything: never a pickle, never a bomb."""

from __future__ import annotations

import contextlib
import io
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy

from tinyml.core import file_kind
from tinyml.core.errors import InputError, raise_refusal
from tinyml.core.process import machine_memory_mb
from tinyml.core.spec import Array, Arrays

HINT = "save plain arrays with numpy.savez(path, x=array): objects would be pickles"
SUFFIX = ".npy"
# Of a file of members, and of one without any.
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# Of the flags of a zip file's member.
ENCRYPTED = 1
# What numpy writes: the decoder of another one, LZMA, takes as much memory as a file asks for.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Of each version of numpy's format: the bytes that say how long the header is.
LENGTHS = {(1, 0): 2, (2, 0): 4}
# What numpy takes itself (``max_header_size``), but only after it has read the header.
LONGEST_HEADER = 10_000
# All arrays of a file together, of the machine's memory.
MOST_SHARE = 0.5
# Cut, compressed in an unknown way, encrypted, or with a header that is no literal of Python's.
_UNREADABLE = (
    *(ValueError, TypeError, LookupError, AttributeError, OSError, EOFError, RuntimeError),
    *(MemoryError, OverflowError, SyntaxError, tokenize.TokenError, struct.error),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


def read_npz(path: Path) -> dict[str, Array]:
    """Every array of ``path``; `InputError` when it is not a ``.npz``, empty, or holds objects.

    No more is allocated than the file really holds, and that is at most `MOST_SHARE` of the
    machine's memory.
    """
    if not path.is_file():
        raise InputError(f"no arrays at {path}", hint="save them with numpy.savez(path, x=array)")
    with _opened(path, "as .npz") as stream:
        if _is_npy(stream):
            raise InputError("it is one array without a name", hint="numpy.savez(path, x=array)")
        _check_zip(path, stream)
        found = _members(stream)
    if not found:
        raise InputError(f"{path} holds no arrays")
    return found


def read_arrays(path: Path) -> list[Array]:
    """The array of a ``.npy`` file, or all of a ``.npz`` file; errors as those of `read_npz`."""
    with _opened(path, "as an array") as stream:
        if not _is_npy(stream):
            _check_zip(path, stream)
            return list(_members(stream).values())
        _check_size(size := path.stat().st_size)
        return [_array(stream, path.name, size)]


def write_npz(path: Path, arrays: Arrays) -> None:
    """Write ``arrays`` to ``path``, whatever their names: `numpy.savez` takes some for its own."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}{SUFFIX}", "w", force_zip64=True) as member:
                npy.write_array(member, np.asarray(array), allow_pickle=False)


@contextlib.contextmanager
def _opened(path: Path, what: str) -> Iterator[BinaryIO]:
    """What zipfile, its decompressors and numpy raise of a file is an `InputError` naming it."""
    try:
        with path.open("rb") as stream:
            yield stream
    except InputError as error:
        raise InputError(
            f"{path} cannot be read {what}: {error.message}", hint=error.hint or HINT
        ) from error
    except _UNREADABLE as error:
        raise_refusal(error, f"reading {path.name}")
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read {what}: {reason}", hint=HINT) from error


def _is_npy(stream: BinaryIO) -> bool:
    found = stream.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX
    stream.seek(0)
    return found


def _check_zip(path: Path, stream: BinaryIO) -> None:
    """`InputError` that shows what ``path`` is, if it is neither a .npy nor a .npz file."""
    start = stream.read(file_kind.READ_BYTES)
    stream.seek(0)
    if start.startswith(ZIP_STARTS):
        return
    if not start:
        raise InputError("it is empty")
    if kind := file_kind.recognized(start, path.stat().st_size):
        raise InputError(f"it is {kind.name}", hint=kind.hint)
    own = SUFFIX if path.suffix.lower() == SUFFIX else ".npz"
    raise InputError(f"it does not begin as a {own} file does: it is damaged, or of another kind")


def _check_size(size: int) -> None:
    if size > MOST_SHARE * (machine_memory_mb() << 20):
        raise InputError(
            f"its arrays take {size / 2**30:,.1f} GiB, more than half of this machine's memory",
            hint="give fewer samples",
        )


def _members(stream: BinaryIO) -> dict[str, Array]:
    archive = zipfile.ZipFile(stream)
    members = archive.infolist()
    _check_size(sum(member.file_size for member in members))
    found = {}
    for member in members:
        if not member.filename.endswith(SUFFIX):
            raise InputError(f"'{member.filename}' is not an array")
        if member.flag_bits & ENCRYPTED:
            raise InputError(f"'{member.filename}' is encrypted")
        if member.compress_type not in METHODS:
            raise InputError(f"'{member.filename}' is compressed by method {member.compress_type}")
        with archive.open(member) as opened:
            array = _array(opened, member.filename, member.file_size)
        found[member.filename.removesuffix(SUFFIX)] = array
    return found


def _array(stream: IO[bytes], name: str, size: int) -> Array:
    """From ``stream`` of ``size`` bytes: what it declares is checked before it is allocated."""
    version = npy.read_magic(stream)
    if version not in LENGTHS:  # later ones are of records, not of tensors
        raise InputError(f"'{name}' has version {version[0]}.{version[1]} of numpy's format")
    length = stream.read(LENGTHS[version])
    header = int.from_bytes(length, "little")
    if header > LONGEST_HEADER:
        raise InputError(f"'{name}' declares a header of {header:,} bytes")
    start = io.BytesIO(length + stream.read(header))
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, in_columns, dtype = read_header(start)
    if dtype.hasobject:
        raise InputError(f"'{name}' holds objects")
    declared, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if declared != held:
        raise InputError(f"'{name}' declares {declared:,} bytes of values and holds {held:,}")
    order: Literal["F", "C"] = "F" if in_columns else "C"
    return np.ndarray(shape, dtype, bytearray(stream.read()), order=order)
