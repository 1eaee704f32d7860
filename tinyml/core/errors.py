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
from collections.abc import Iterator

from tinyml.core.text import one_line

INTERRUPTED = 130
# Characters of a message: with "error: " before it, a line of 300.
LONGEST = 293


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
def machine_errors(doing: str) -> Iterator[None]:
    """Turn the operating system's refusals while ``doing`` into `MachineError`."""
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "free some space, or choose another folder",
            errno.EDQUOT: "free some space, or choose another folder",
            errno.EACCES: "choose a folder that you may write to",
            errno.EPERM: "choose a folder that you may write to",
            errno.EROFS: "choose a folder that you may write to",
        }
        if error.errno is None:
            raise
        where = f" {error.filename}" if error.filename else ""
        raise MachineError(
            f"{doing}: {error.strerror}{where}", hint=hints.get(error.errno, "")
        ) from error
