"""A model file that is missing, broken or lacks a tensor, as an error that a user can fix."""

from __future__ import annotations

import difflib
import os
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyml.core.errors import InputError
from tinyml.core.file_kind import kind_of

KINDS = {".onnx": "ONNX", ".tflite": "TFLite"}
# What the generated reader raises on bytes that are not what the schema says.
BROKEN = (
    struct.error,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
)


class BrokenFileError(Exception):
    """What is wrong with a file, for `reading` to name it."""


def check_file(path: Path) -> None:
    """Raise `InputError` unless ``path`` is a file that can be read and may be what its name says.

    A pointer, a page or a model of another format under this name is named.
    """
    if not path.is_file():
        raise InputError(f"no model file at {path}")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read", hint="check the file's permissions")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty", hint="copy or export it again")
    kind = kind_of(path)
    if kind is not None and path.suffix in KINDS and kind.suffix != path.suffix:
        hint = kind.hint or f"rename it to {path.with_suffix(kind.suffix).name}"
        named = f", although its name ends in {path.suffix}" if kind.suffix else ""
        raise InputError(f"{path} is {kind.name}{named}", hint=hint)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what reading a broken file raises into `InputError`."""
    kind = KINDS.get(path.suffix, "model")
    try:
        yield
    except BrokenFileError as error:
        raise InputError(
            f"{path} is not a whole {kind} file: {error}",
            hint="it may be truncated or made up: copy or export it again",
        ) from error
    except BROKEN as error:
        raise InputError(
            f"{path} is not a whole {kind} file ({type(error).__name__})",
            hint="it may be truncated: copy or export it again",
        ) from error


def unknown_format(path: Path) -> InputError:
    """The error for a file whose name ends in neither format's."""
    kind = kind_of(path) if path.is_file() else None
    if kind is not None and kind.suffix in KINDS:
        return InputError(
            f"{path} is {kind.name} whose name does not say so",
            hint=f"rename it to {path.with_suffix(kind.suffix).name}",
        )
    known = f"its name ends in none of {', '.join(KINDS)}"
    what = f"is {kind.name}; {known}" if kind else f"is not a model file that can be read: {known}"
    return InputError(f"{path} {what}", hint="give a bundle, a .tflite or an .onnx")


def unknown_tensor(path: Path, name: str, known: Collection[str]) -> InputError:
    """The error for a tensor that the file does not have."""
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"it has {len(known)} named tensors"
    return InputError(f"{path} has no tensor '{name}'", hint=hint)
