"""Outputs that are kept in a file as they are computed, so that a run that was stopped continues.

    header: what was computed with what | for each input in turn: its digest, its outputs

All are messages (`tinyml.runtimes.runner.messages`). An input is asked for in the same order again;
where one differs from its record, its outputs and all that follow are computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tinyml.core.errors import UsageError, machine_errors
from tinyml.core.files import cache_folder, canonical_json
from tinyml.core.locks import hold
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.runtimes.base import Session
from tinyml.runtimes.runner.messages import receive, send

FOLDER = "outputs"


@dataclass(frozen=True, slots=True)
class Made:
    """What outputs depend on. ``place``: which run it is; ``content``: name -> what it was made of.

    A run of the same place with other content starts again.
    """

    place: Mapping[str, str]
    content: Mapping[str, str]

    @property
    def path(self) -> Path:
        """Where the outputs are kept."""
        name = hashlib.sha256(canonical_json(dict(self.place)).encode()).hexdigest()[:32]
        return cache_folder() / FOLDER / name


@dataclass(slots=True)
class KeptOutputs:
    """An open file of outputs; ``kept`` inputs have records, and ``changed`` names why no more do.

    ``at`` is the number of the next input.
    """

    path: Path
    stream: BinaryIO
    kept: int = 0
    changed: tuple[str, ...] = ()
    at: int = 0

    def through(self, session: Session) -> KeptSession:
        """``session``, whose outputs are taken from here where they are, and else put here."""
        return KeptSession(session, self)

    def find(self, digest: str) -> dict[str, Array] | None:
        """The outputs of the next input, if the next record is that of ``digest``."""
        if self.at < self.kept:
            start = self.stream.tell()
            head, arrays = receive(self.stream)
            if head.get("input") == digest:
                self.at += 1
                return arrays
            self._cut(start)
            self.kept = self.at
        return None

    def add(self, digest: str, outputs: Arrays) -> None:
        """Put the outputs of an input behind the others: a killed process leaves them."""
        with machine_errors("keeping outputs", self.path.parent):
            send(self.stream, {"input": digest}, outputs)
        self.at += 1
        self.kept = self.at

    def remove(self) -> None:
        """The run is complete: the next one starts again."""
        self.path.unlink(missing_ok=True)

    def begin(self, content: Mapping[str, str]) -> None:
        """Read what is there and stand behind the header; else write a new one."""
        try:
            head, _ = receive(self.stream)
        except (EOFError, ValueError):
            head = {}
        found = head.get("content", {})
        self.changed = tuple(name for name in content if found and found.get(name) != content[name])
        if not found or self.changed:
            self._cut(0)
            send(self.stream, {"content": dict(content)}, {})
            return
        first = self.stream.tell()
        self.kept = self._count()
        self.stream.seek(first)

    def _count(self) -> int:
        """How many whole records follow; what a killed process left behind them is cut off."""
        count = 0
        while True:
            start = self.stream.tell()
            try:
                receive(self.stream)
            except (EOFError, ValueError):
                self._cut(start)
                return count
            count += 1

    def _cut(self, place: int) -> None:
        self.stream.seek(place)
        self.stream.truncate()


@dataclass(frozen=True, slots=True)
class KeptSession:
    """`KeptOutputs.through`."""

    session: Session
    outputs: KeptOutputs

    @property
    def signature(self) -> Signature:
        return self.session.signature

    @property
    def precision(self) -> str:
        return self.session.precision

    def run(self, inputs: Arrays) -> dict[str, Array]:
        digest = digest_of(inputs)
        found = self.outputs.find(digest)
        if found is None:
            found = self.session.run(inputs)
            self.outputs.add(digest, found)
        return found


@contextlib.contextmanager
def keeping(made: Made) -> Iterator[KeptOutputs]:
    """The file for ``made``; it stays until `KeptOutputs.remove`.

    Raises `UsageError` where another process has it, `MachineError` where it cannot be written.
    """
    path = made.path
    with machine_errors("keeping outputs", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        held = hold(path)
    if held is None:
        raise UsageError("another process computes the same", hint="wait for it")
    with os.fdopen(held, "r+b") as stream:
        kept = KeptOutputs(path, stream)
        with machine_errors("keeping outputs", path.parent):
            kept.begin(made.content)
        yield kept


def digest_of(inputs: Arrays) -> str:
    """The sha256 of ``inputs``, of their names, types and shapes too."""
    found = hashlib.sha256()
    for name, array in sorted(inputs.items()):
        found.update(canonical_json([name, array.dtype.str, list(array.shape)]).encode())
        found.update(array.tobytes())
    return found.hexdigest()
