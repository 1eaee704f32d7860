"""A third-party file is read in a child process, whose death is one line about the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinyml.core import subprocesses
from tinyml.core.child_errors import DiedError
from tinyml.core.errors import InputError, machine_errors
from tinyml.core.subprocesses import Limits


def answer_of(module: str, arguments: Sequence[str], path: Path, who: str, limits: Limits) -> bytes:
    """As `tinyml.core.subprocesses.answer_of`, of a child in which ``who`` reads ``path``.

    Raises `InputError` naming both when the child dies of a signal, of its limits, or of an error
    that is not a `TinymlError`; else the error that it raised.
    """
    with machine_errors(f"starting {who} on {path.name}"), naming(path, who):
        return subprocesses.answer_of(module, arguments, limits)


@contextlib.contextmanager
def naming(path: Path, who: str) -> Iterator[None]:
    """`DiedError` as `InputError`: whatever kills ``who`` (a runtime's name), ``path`` did."""
    try:
        yield
    except DiedError as died:
        raise _broken(path, who, died.how) from None


def unreadable(path: Path, who: str, error: Exception) -> InputError:
    """The error for an answer that is not what such a child answers."""
    return _broken(path, who, f"gave an incomplete result: {' '.join(str(error).split())}")


def _broken(path: Path, who: str, how: str) -> InputError:
    return InputError(
        f"{path}: {who} {how}",
        hint="the file may be broken or made up: export it again, or report it to its maker",
    )
