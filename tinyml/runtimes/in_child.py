"""What a third-party file may kill is done in a child process, whose death is one line.

`run` starts a module of this package as a program, with a limit of memory and of time. The
module's ``main`` is wrapped in `child`, so that what it raises arrives as the same words and
it does not outlive whoever started it. A child is protection against crashes, and against
files that take all memory or time; it has the user's own rights and is not a sandbox.
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
from typing import IO, BinaryIO

from tinyml.core.child_errors import error_from_json, error_to_json
from tinyml.core.errors import InputError, TinymlError, machine_errors
from tinyml.core.process import child_environment, die_with, python_module

LAST_WORDS = 4096
_inside = False


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` on the wall; ``memory_mb`` of address space."""

    seconds: float
    memory_mb: int


def inside() -> bool:
    """Whether this process is such a child: what is read here may kill it."""
    return _inside


def run(module: str, arguments: Sequence[str], path: Path, who: str, limits: Limits) -> bytes:
    """Run ``module`` as a program, in which ``who`` (a runtime's name) reads ``path``.

    Returns what it wrote to the stream that `child` gave it. Raises `InputError` naming ``path``
    and ``who`` when the child dies of a signal, of its limits, or of an error that is not a
    `TinymlError`; else the error that it raised.
    """
    with machine_errors(f"starting {who} on {path.name}"):
        process = start(module, arguments, limits, subprocess.DEVNULL, subprocess.PIPE)
    with process:
        try:
            answer, said = process.communicate(timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            raise late(path, who, limits.seconds) from None
        finally:
            process.kill()
    if process.returncode:
        raise death(path, who, process.returncode, said)
    return answer


def start(
    module: str, arguments: Sequence[str], limits: Limits, stdin: int, stderr: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """The child of `run`, which may be asked on ``stdin`` too; its stdout is what it answers."""
    given = [str(limits.memory_mb), str(os.getpid()), *arguments]
    return subprocess.Popen(
        python_module(module, given),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=child_environment({"ORT_DISABLE_TELEMETRY": "1"}),
    )


def late(path: Path, who: str, seconds: float) -> InputError:
    """The error for a child that takes too long."""
    return _broken(path, who, f"did not end within {seconds:g} s")


def death(path: Path, who: str, code: int, said: bytes) -> TinymlError:
    """The error that a child left as the last line of ``said``, or what its exit code tells."""
    if code < 0:
        return _broken(path, who, f"was killed by signal {-code} ({signal.Signals(-code).name})")
    text = said[-LAST_WORDS:].decode(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()] or ["no message"]
    with contextlib.suppress(ValueError):
        return error_from_json(json.loads(lines[-1]))
    return _broken(path, who, f"ended {code}: {' '.join(lines[-1].split())[:200]}")


def unreadable(path: Path, who: str, error: Exception) -> InputError:
    """The error for an answer that is not what such a child answers."""
    return _broken(path, who, f"gave an incomplete result: {' '.join(str(error).split())}")


def _broken(path: Path, who: str, how: str) -> InputError:
    return InputError(
        f"{path}: {who} {how}",
        hint="the file may be broken or made up: export it again, or report it to its maker",
    )


@contextlib.contextmanager
def child(arguments: Sequence[str]) -> Iterator[tuple[Sequence[str], BinaryIO]]:
    """The child's side: those of ``arguments`` that `run` was given, and where to answer.

    Sets the limits; a `TinymlError` becomes a last line of JSON. Native code that prints on
    stdout does not disturb the answer: it goes nowhere.
    """
    global _inside
    _inside = True
    memory_mb, parent, *rest = arguments
    die_with(int(parent))
    _limit(int(memory_mb) << 20)
    answers = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        with answers:
            yield rest, answers
    except TinymlError as error:
        print(f"\n{json.dumps(error_to_json(error))}", file=sys.stderr, flush=True)
        raise SystemExit(error.exit_code) from None


def _limit(size: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    size = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
