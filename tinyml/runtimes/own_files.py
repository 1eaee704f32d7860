"""A runtime for files that tinyml wrote: one that is not what it was written as is a bug."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.errors import ExportError, made_by_us
from tinyml.core.spec import Array, Arrays
from tinyml.runtimes.base import Reader, RefusedError, Runtime, Session, Wrapped


@dataclass(frozen=True, slots=True)
class OwnFiles(Wrapped):
    """``engine`` as a `Runtime` that does not blame a user for a file.

    Where ``engine`` raises `InputError` when it loads a file, because a tensor is missing or a size
    is not fixed, this raises `InternalError`. One that the engine refuses ``as_converted``, before
    tinyml quantized it, is an `ExportError`: the converter wrote what the runtime does not have.
    Running raises what ``engine`` raises: the inputs may be a user's.
    """

    engine: Runtime
    as_converted: bool = True

    def open(self, path: Path, *, threads: int = 1) -> Session:
        with self._loading(path):
            return self.engine.open(path, threads=threads)

    def reader(self, path: Path, names: Sequence[str]) -> Reader:
        with self._loading(path):
            return self.engine.reader(path, names)

    def read_tensors(self, path: Path, names: Sequence[str], inputs: Arrays) -> dict[str, Array]:
        return self.reader(path, names)(inputs)

    @contextmanager
    def _loading(self, path: Path) -> Iterator[None]:
        with made_by_us(path.name):
            try:
                yield
            except RefusedError as error:
                if not self.as_converted:
                    raise
                raise ExportError(
                    f"the converter wrote a file that its runtime does not load: {error.message}",
                    hint="leave this format out, or replace the operator that the runtime names",
                ) from error
