"""A runtime meets a stranger's file in a child process first, and only then here.

Runtimes are native code that trusts a file in places: one that kills its reader kills the
child, and the user reads one line.

    python -m tinyml.runtimes.first_meeting MEMORY_MB PARENT MODEL MODULE:RUNTIME inside|outside
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from pathlib import Path

import numpy as np

from tinyml.errors import InputError
from tinyml.process import machine_memory_mb
from tinyml.runtimes import in_child
from tinyml.runtimes.base import Runtime

SECONDS = 120.0


def meet(path: Path, name: str, runtime: str, *, inside: bool = False) -> None:
    """Load ``path`` in a child, and run it once on zeros; once for a file that is unchanged.

    name     of the runtime, for the error
    runtime  its row in `tinyml.registry.RUNTIMES`
    inside   also as `Runtime.reader` runs it

    Raises `InputError` naming the file and the runtime when the child dies or does not end,
    and whatever opening the file raises.
    """
    told = path.stat() if path.is_file() else None
    _meet(path, (told.st_mtime_ns, told.st_size) if told else (0, 0), name, runtime, inside)


@functools.lru_cache(maxsize=64)
def _meet(path: Path, _state: tuple[int, int], name: str, runtime: str, inside: bool) -> None:
    arguments = [str(path), runtime, "inside" if inside else "outside"]
    limits = in_child.Limits(SECONDS, machine_memory_mb())
    in_child.run(__name__, arguments, path, name, limits)


def main(arguments: list[str]) -> None:
    """The child."""
    with in_child.child(arguments) as (path, runtime, where):
        module, _, attribute = runtime.partition(":")
        _load_and_run(getattr(importlib.import_module(module), attribute), Path(path), where)


def _load_and_run(runtime: Runtime, path: Path, where: str) -> None:
    session = runtime.open(path)
    zeros = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in session.signature.inputs}
    names = [spec.name for spec in session.signature.outputs[:1]]
    # Zeros need not suit the model: what it refuses politely is for its real inputs to show.
    with contextlib.suppress(InputError):
        session.run(zeros)
    with contextlib.suppress(InputError):
        if where == "inside":
            runtime.reader(path, names)(zeros)


if __name__ == "__main__":
    main(sys.argv[1:])
