"""Weights of an .onnx file that lie in a file beside it, read from its own folder only.

The file says a path, and a stranger's file may say any path: one that leaves the folder,
in its words or by a symbolic link, is refused before it is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from tinyml.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Place:
    """``size`` bytes of ``path`` from ``offset`` on, all of which are there."""

    path: Path
    offset: int
    size: int


def place_of(path: Path, tensor: Any) -> Place:
    """Where the values of ``tensor`` of the model ``path`` lie; `InputError` says why not."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    name = str(told.get("location", ""))
    beside = _beside(path, tensor, name)
    try:
        offset, length = int(told.get("offset", 0)), int(told.get("length", -1))
    except ValueError as error:
        raise _refused(path, tensor, f"in '{name}' at an offset that is not a number") from error
    held = beside.stat().st_size
    size = held - offset if length == -1 else length
    if offset < 0 or size < 0 or offset + size > held:
        raise _refused(
            path, tensor, f"in '{name}' at bytes {offset:,} to {offset + size:,} of {held:,}"
        )
    return Place(beside, offset, size)


def read_place(place: Place) -> bytes:
    """The bytes."""
    with place.path.open("rb") as stream:
        stream.seek(place.offset)
        return stream.read(place.size)


def _beside(path: Path, tensor: Any, name: str) -> Path:
    """The file ``name`` in the folder of ``path``."""
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    anchored = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    if not name or "\0" in name or anchored or ".." in parts:
        raise _refused(path, tensor, f"in '{_shown(name)}', which is not a file in its folder")
    folder, found = path.parent.resolve(), path.parent / name
    try:
        real = found.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise _refused(path, tensor, f"in '{_shown(name)}', which does not exist") from error
    if not real.is_relative_to(folder):
        raise _refused(path, tensor, f"in '{_shown(name)}', a link out of its folder")
    if not real.is_file():
        raise _refused(path, tensor, f"in '{_shown(name)}', which is not a file")
    return real


def _shown(name: str) -> str:
    return " ".join(name.replace("\0", "?").split())[:100]


def _refused(path: Path, tensor: Any, why: str) -> InputError:
    return InputError(
        f"{path}: the weight '{_shown(str(tensor.name))}' is stored {why}",
        hint="copy the model together with its data, into one folder: or save it as one file: "
        "onnx.save(onnx.load(MODEL), ONE_FILE)",
    )
