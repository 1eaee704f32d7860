"""What a stranger's file may kill is done in a child process, whose death is one line.

`run` starts a module of this package as a program, with a limit of memory and of time. The
module's ``main`` is wrapped in `child`, so that what it raises arrives as the same words and
it does not outlive whoever started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyml.errors import InputError, MissingExtraError, TinymlError, machine_errors
from tinyml.process import child_environment, die_with, python_module

_LAST_WORDS = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` on the wall; ``memory_mb`` of address space."""

    seconds: float
    memory_mb: int


def run(module: str, arguments: Sequence[str], path: Path, who: str, limits: Limits) -> None:
    """Run ``module`` as a program, in which ``who`` (a runtime's name) meets ``path``.

    Raises `InputError` naming ``path`` and ``who`` when the child dies of a signal, of its
    limits, or of an error that is no `TinymlError`; else the error that it raised.
    """
    command = python_module(module, [str(limits.memory_mb), str(os.getpid()), *arguments])
    with machine_errors(f"starting {who} on {path.name}"):
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=child_environment({"ORT_DISABLE_TELEMETRY": "1"}),
        )
    with process:
        try:
            said = process.communicate(timeout=limits.seconds)[1]
        except subprocess.TimeoutExpired:
            raise _death(path, who, f"did not end within {limits.seconds:g} s") from None
        finally:
            process.kill()
    if process.returncode:
        raise _error(path, who, process.returncode, said[-_LAST_WORDS:].decode(errors="replace"))


def _error(path: Path, who: str, code: int, said: str) -> TinymlError:
    if code < 0:
        return _death(path, who, f"was killed by it ({signal.Signals(-code).name})")
    lines = [line for line in said.splitlines() if line.strip()] or ["it said nothing"]
    with contextlib.suppress(ValueError, KeyError, TypeError):
        told = json.loads(lines[-1])
        if extra := told["extra"]:
            return MissingExtraError(*extra)
        return InputError(told["message"], hint=told["hint"])
    return _death(path, who, f"ended {code}: {' '.join(lines[-1].split())[:200]}")


def _death(path: Path, who: str, how: str) -> InputError:
    return InputError(
        f"{path}: {who} {how}",
        hint="the file may be broken or made up: export it again, or report it to its maker",
    )


@contextlib.contextmanager
def child(arguments: Sequence[str]) -> Iterator[Sequence[str]]:
    """The child's side, around what is done with those of ``arguments`` that `run` was given.

    Sets the limits; a `TinymlError` becomes a last line of JSON.
    """
    memory_mb, parent, *rest = arguments
    die_with(int(parent))
    size = int(memory_mb) << 20
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    size = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        yield rest
    except MissingExtraError as error:
        _say("", "", [error.package, error.extra])
    except TinymlError as error:
        _say(error.message, error.hint, [])


def _say(message: str, hint: str, extra: list[str]) -> None:
    line = json.dumps({"message": message, "hint": hint, "extra": extra})
    print(f"\n{line}", file=sys.stderr, flush=True)
    raise SystemExit(InputError.exit_code) from None
