"""The errors that a user can fix, and the exit code of each.

    TinymlError                       1   the base: always has a message, often a hint
    |- MachineError                   1   the machine's fault: disk full, child killed
    |  `- MissingExtraError           1   an optional back end is not installed
    |- UsageError                     2   the command line: unknown name, output exists
    |- InputError                     3   a file or value that cannot be used
    |  |- RecipeError                 3   a recipe's TOML
    |  |- CheckpointError             3   a checkpoint file
    |  |- DataError                   3   audio, a data set, its layout
    |  |- BundleError                 3   a bundle that cannot be read (not: one that was changed)
    |  `- ExportError                 3   a model that cannot be exported
    |- DeviceError                    4   a board, a link, results that cannot be compared
    `- ValidationError                5   parity, hashes, regressions: it ran, and it is wrong

A bug is none of these: it keeps its traceback, and its exit code is 1. `InternalError` is one that
tinyml itself notices, or that a process of its own died of.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinyml.core.text import one_line

INTERRUPTED = 130
# Characters of a message: with "error: " before it, a line of 300.
LONGEST = 293
# What native code says of a full disk, in errors of other classes.
NO_SPACE_WORDS = re.compile("no space left on device|disk quota exceeded", re.IGNORECASE)
SCRATCH_NAME = re.compile(r"tinyml-[a-z]+-[0-9a-f]{16}")
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
_OF_MACHINE = _NO_SPACE | {errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class TinymlError(Exception):
    """What went wrong, naming the thing and the value; ``hint`` is the remedy.

    Both are one line, whatever the names in them hold: control characters are escaped, and what is
    longer than `LONGEST` loses its middle. ``details`` are lines that come behind them.
    ``child`` is the module whose child process raised it, if one did.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = one_line(message, LONGEST)
        super().__init__(self.message)
        self.hint = one_line(hint, LONGEST)
        self.details: list[str] = []
        self.child = ""


class InternalError(Exception):
    """A fault of tinyml, whatever it was given: something of its own does not fit together.

    ``trace`` is the traceback of the child process that it happened in, and comes last in the text.
    """

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(f"{message}\n\nIn that process:\n{trace}" if trace else message)
        self.message, self.trace = message, trace


class MachineError(TinymlError):
    """The machine's fault: no space, no permission, a child that was killed."""


class MissingExtraError(MachineError):
    """An optional back end is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        from tinyml import DISTRIBUTION

        super().__init__(
            f"{package} is not installed; it comes with the extra '{extra}'",
            hint=f"pip install '{DISTRIBUTION}[{extra}]'",
        )
        self.package = package
        self.extra = extra


class UsageError(TinymlError):
    """The command line asks for something that does not exist or is in the way."""

    exit_code = 2


class InputError(TinymlError):
    """A file or value handed in cannot be used."""

    exit_code = 3


class RecipeError(InputError):
    """A recipe is not valid."""


class CheckpointError(InputError):
    """A checkpoint cannot be read or does not fit."""


class DataError(InputError):
    """Audio or a data set cannot be used."""


class BundleError(InputError):
    """A bundle cannot be read."""


class ExportError(InputError):
    """A model cannot be exported; ``located``: the message names the smallest part that fails."""

    located = False


class DeviceError(TinymlError):
    """A board or its link failed, or measurements cannot be compared."""

    exit_code = 4


class ValidationError(TinymlError):
    """A check ran and its answer is no."""

    exit_code = 5


def require(module: str, package: str, extra: str) -> None:
    """Raise `MissingExtraError` unless ``module`` can be imported; imports nothing."""
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(package, extra)


@contextlib.contextmanager
def made_by_us(what: str) -> Iterator[None]:
    """Turn an `InputError` about ``what``, which tinyml itself made, into `InternalError`.

    An `ExportError` stays: it is about the user's model.
    """
    try:
        yield
    except ExportError:
        raise
    except InputError as error:
        raise InternalError(f"{what}: {error.message}") from error


@contextlib.contextmanager
def machine_errors(doing: str, folder: Path | None = None) -> Iterator[None]:
    """Turn the operating system's refusals while ``doing`` into `MachineError`.

    ``folder``: where it writes, for refusals that do not tell. These may be about ``$TMPDIR`` too:
    of both, the one with the least space left is named.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise machine_error(error, doing, folder) from error


def machine_error(error: OSError, doing: str = "", folder: Path | None = None) -> MachineError:
    """What the operating system refused while ``doing``, and where."""
    start = f"{doing}: " if doing else ""
    if error.errno in _NO_SPACE:
        temporary = _above_scratch(Path(tempfile.gettempdir()))
        full = error.filename2 or error.filename  # of a copy, the second is what is written
        place = Path(full).parent if full else _fuller(folder or temporary, temporary)
        place = _above_scratch(place)
        other = "set TMPDIR to another folder" if place == temporary else "choose another folder"
        return MachineError(f"{start}no space left in {place}", hint=f"free some space, or {other}")
    where = f" {error.filename}" if error.filename else ""
    hint = "choose a folder that you may write to" if error.errno in _NOT_ALLOWED else ""
    return MachineError(f"{start}{error.strerror}{where}", hint=hint)


def _fuller(one: Path, other: Path) -> Path:
    """Which of two folders has less space left; ``one`` if they are on the same disk."""
    (disk, space), (other_disk, other_space) = _space_left(one), _space_left(other)
    return other if disk != other_disk and other_space < space else one


def _space_left(folder: Path) -> tuple[int, int]:
    """The disk of ``folder``, or of what it would lie in, and the bytes that fit on it."""
    place = next(place for place in (folder, *folder.parents, Path("/")) if place.exists())
    found = os.statvfs(place)
    has_files = found.f_favail > 0 or found.f_files == 0
    return place.stat().st_dev, found.f_bavail * found.f_frsize if has_files else 0


def _above_scratch(folder: Path) -> Path:
    """The folder that a scratch folder of tinyml lies in: a child's ``$TMPDIR`` is one."""
    above = [own.parent for own in (folder, *folder.parents) if SCRATCH_NAME.fullmatch(own.name)]
    return above[-1] if above else folder


def raise_first(errors: Sequence[TinymlError]) -> None:
    """Raise the first of ``errors``, whose details name the others; nothing where there is none."""
    if errors:
        first, *others = errors
        first.details += [f"error: {error.message}" for error in others]
        raise first


def refusal_in(error: BaseException | None) -> OSError | None:
    """The refusal of the operating system that ``error`` is, or was raised for, if any.

    What reads or converts a user's file fails in many ways, all of them the file's fault but
    this: no space, too many open files, a broken disk. `OSError` alone does not tell: libraries
    raise it for what they read too, and a file may name others that nobody may read.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))  # ``raise error from error`` is a chain without an end
        if isinstance(error, OSError) and error.errno in _OF_MACHINE:
            return error
        if isinstance(error, RuntimeError) and NO_SPACE_WORDS.search(str(error)):
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        error = error.__cause__ or error.__context__
    return None


def raise_refusal(error: BaseException, doing: str, folder: Path | None = None) -> None:
    """Raise `MachineError` where `refusal_in` finds one: for a handler that blames an input."""
    if (refusal := refusal_in(error)) is not None:
        raise machine_error(refusal, doing, folder) from error
