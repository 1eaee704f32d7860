"""What every runtime offers: open a model file, run it, read values from inside it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

from tinyml.core.errors import LONGEST, InputError
from tinyml.core.spec import Array, Arrays, Signature

# A reader's threads: sums that threads share would differ in the last digits with their number.
READER_THREADS = 1
# Characters of an engine's own reason, however long the path of the file.
LEAST = 120
Reader = Callable[[Arrays], dict[str, Array]]


class Session(Protocol):
    """A loaded model."""

    @property
    def signature(self) -> Signature:
        """Inputs and outputs as the file names them; a file knows of no state pairs."""

    @property
    def precision(self) -> str:
        """What it really computes in, the types of most layers first; empty: it does not tell."""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Every output by name.

        Raises `InputError` when ``inputs`` are not exactly the model's, or when the
        runtime fails on them.
        """


class Runtime(Protocol):
    """An engine for one or more file formats."""

    @property
    def name(self) -> str:
        """As in `tinyml.core.registry.RUNTIMES`."""

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats it opens."""

    @property
    def optimised(self) -> str:
        """What a run as users get it, with optimisations and delegates, is called in reports."""

    @property
    def package(self) -> str:
        """The distribution to install."""

    @property
    def extra(self) -> str:
        """The optional dependencies that hold it."""

    @property
    def has_delegate(self) -> bool:
        """Whether it hands operators to a delegate, which may leave some."""

    @property
    def reads_inside(self) -> bool:
        """Whether `reader` shows values; else its outputs alone are compared."""

    def version(self) -> str | None:
        """The installed version; ``None`` when it is not installed."""

    def open(self, path: Path, *, threads: int = 1) -> Session:
        """Load ``path`` with the optimisations and delegates that a user gets by default.

        Raises `MissingExtraError` without the runtime, `InputError` for a file it refuses.
        """

    def reader(self, path: Path, names: Sequence[str]) -> Reader:
        """Loads the file once; the reader runs it and gives the tensors ``names`` inside it.

        Nothing is optimised away; integers that stand for real numbers come as those.
        Raises `InputError` for a name that is not in the file, or where `reads_inside` is false,
        besides what `open` raises.
        """

    def read_tensors(self, path: Path, names: Sequence[str], inputs: Arrays) -> dict[str, Array]:
        """`reader`, once."""


class Wrapped:
    """What a runtime that opens files with another one, its ``engine``, has of that one."""

    __slots__ = ()
    engine: Runtime

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def formats(self) -> tuple[str, ...]:
        return self.engine.formats

    @property
    def optimised(self) -> str:
        return self.engine.optimised

    @property
    def package(self) -> str:
        return self.engine.package

    @property
    def extra(self) -> str:
        return self.engine.extra

    @property
    def has_delegate(self) -> bool:
        return self.engine.has_delegate

    @property
    def reads_inside(self) -> bool:
        return self.engine.reads_inside

    def version(self) -> str | None:
        return self.engine.version()


class RefusedError(InputError):
    """A runtime does not load a file."""


def refusal(
    path: Path, engine: str, reason: object, said: str = "", *, hint: str = ""
) -> RefusedError:
    """The error for a file that ``engine`` does not take: one line, its own reason in it."""
    given = str(reason) if str(reason).strip() else said
    return RefusedError(_with_reason(f"{path}: {engine} refuses it: ", given), hint=hint)


def failure(path: Path, engine: str, reason: object) -> InputError:
    """The error for a model that loads but fails on its inputs."""
    return InputError(_with_reason(f"{path}: {engine} fails on these inputs: ", str(reason)))


@contextlib.contextmanager
def native_noise() -> Iterator[IO[bytes]]:
    """Catch what native code prints on file descriptors 1 and 2 meanwhile.

    The runtimes write banners from C++ that no Python stream sees. They go to the
    temporary file that is handed out, and are dropped with it. Whole-process: keep the
    block to a native call or two.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 1)
        os.dup2(caught.fileno(), 2)
        try:
            yield caught
        finally:
            for target, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, target)
                os.close(copy)


def heard(caught: IO[bytes]) -> str:
    """The text that `native_noise` has caught so far."""
    caught.seek(0)
    return caught.read().decode(errors="replace")


def _with_reason(start: str, reason: str) -> str:
    """``start`` and the beginning of ``reason`` that fits behind it: engines say first what it is.

    `TinymlError` would cut the middle, which is that beginning where ``start`` has a long path.
    """
    line, room = " ".join(reason.split()) or "no reason given", max(LONGEST - len(start), LEAST)
    return start + (line if len(line) <= room else line[: room - 3] + "...")
