"""How a child process ended, for its parent: an error of ours comes out as the same error."""

from __future__ import annotations

import errno
import json
import re
import signal
import traceback
from pathlib import Path
from typing import Any

from tinyml.core import errors
from tinyml.core.errors import (
    NO_SPACE_WORDS,
    ExportError,
    InternalError,
    MachineError,
    TinymlError,
    machine_error,
    refusal_in,
)
from tinyml.core.memory_limit import NO_MEMORY, lacks_memory

LAST_WORDS = 4096
END_BYTES = 1 << 20
TRACE_CHARACTERS = 20_000
# What a process exits with that reports an error which is not ours.
FAILED = 70
# And when the disk is too full to report: EX_OSERR of sysexits.h.
NO_REPORT = 71
_CONTINUATION = re.compile(r"^(\s|[IWEF]\d{4} |\(\d\d:\d\d\))")


class DiedError(Exception):
    """A child ended without an error of ours: whoever started it knows what it stood for.

    how    for a sentence that the child is the subject of
    kind   of the error that it becomes where nothing else is known
    hint   empty: the log tells more
    trace  the traceback of an exception that is not ours: a bug, where only our code ran
    """

    def __init__(
        self, how: str, kind: type[TinymlError], hint: str = "", *, trace: str = ""
    ) -> None:
        super().__init__(how)
        self.how, self.kind, self.hint, self.trace = how, kind, hint, trace


def late(seconds: float) -> DiedError:
    """Of a child that took longer."""
    return DiedError(f"did not finish within {seconds:g} s", MachineError)


def out_of_memory(memory_mb: int) -> DiedError:
    """Of a child that asked for more than it may have; 0: what the machine has."""
    if not memory_mb:
        return DiedError("ran out of memory", MachineError)
    return DiedError(
        f"ran out of memory: it may use {memory_mb:,} MB",
        MachineError,
        "`memory_mb` gives it more; a smaller sample needs less",
    )


def report(path: Path, error: Exception) -> int:
    """The child's side: leave ``error`` at ``path`` for the parent; the exit code to end with."""
    reported: dict[str, Any] = {}
    code = FAILED
    if lacks_memory(error):
        reported["memory"] = True
    elif (refusal := refusal_in(error)) is not None:
        reported["error"] = error_to_json(machine_error(refusal, folder=path.parent))
        code = MachineError.exit_code
    elif isinstance(error, TinymlError):
        reported["error"], code = error_to_json(error), error.exit_code
    elif isinstance(error, InternalError):
        reported["internal"] = error.message
        reported["trace"] = error.trace or _trace(error)
    else:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reported["message"] = f"{type(error).__name__}: {lines[0][:300] if lines else ''}"
        reported["trace"] = _trace(error)
    draft = path.with_suffix(".tmp")
    try:
        draft.write_text(json.dumps(reported), encoding="utf-8")
    except OSError as full:
        return NO_REPORT if refusal_in(full) else FAILED
    draft.rename(path)
    return code


def _trace(error: Exception) -> str:
    """The end of its traceback."""
    return "".join(traceback.format_exception(error))[-TRACE_CHARACTERS:]


def death(
    code: int, reported: Path, log: Path, memory_mb: int
) -> TinymlError | InternalError | DiedError:
    """The parent's side: what a child that ended with ``code`` left at ``reported`` or said."""
    if reported.is_file():
        data = json.loads(reported.read_text(encoding="utf-8"))
        if "error" in data:
            return error_from_json(data["error"])
        if "memory" in data:
            return out_of_memory(memory_mb)
        if "internal" in data:
            return InternalError(data["internal"], data["trace"])
        return DiedError(f"failed: {data['message']}", ExportError, trace=data["trace"])
    if memory_mb and NO_MEMORY.search(_read(log)[-LAST_WORDS:]):
        return out_of_memory(memory_mb)
    if code == NO_REPORT or NO_SPACE_WORDS.search(_read(log)[-LAST_WORDS:]):
        return machine_error(OSError(errno.ENOSPC, ""), folder=reported.parent)
    if code < 0:
        name = signal.Signals(-code).name
        return DiedError(f"was killed by signal {-code} ({name})", MachineError)
    return DiedError(f"failed: {last_line(log)}", ExportError)


def last_line(log: Path) -> str:
    """The last line of ``log`` that is neither indented nor a native logger's."""
    lines = _read(log).splitlines()
    said = [line for line in lines if line.strip() and not _CONTINUATION.match(line)]
    return said[-1].strip()[:300] if said else "it ended without a message"


def _read(log: Path) -> str:
    """The end of it: what a child prints has no limit."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - END_BYTES))
        return stream.read(END_BYTES).decode(errors="replace")


def error_to_json(error: TinymlError) -> dict[str, Any]:
    """The nearest class of the project's own tree, and all fields."""
    kind = next(kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__))
    return {"kind": kind, "fields": dict(vars(error))}


def error_from_json(data: Any) -> TinymlError:
    """The error as it was, whatever its constructor takes; `ValueError` for anything else."""
    fields = data.get("fields") if isinstance(data, dict) else None
    if not isinstance(fields, dict) or not isinstance(data.get("kind"), str):
        raise ValueError("it is not an error that a child sent")
    kind = getattr(errors, data["kind"], None)
    told = (fields.get("message"), fields.get("hint"))
    if not isinstance(kind, type) or not issubclass(kind, TinymlError):
        raise ValueError(f"'{data['kind']}' is not an error of ours")
    if not all(isinstance(text, str) for text in told):
        raise ValueError("it has no message and no hint")
    error = kind.__new__(kind)
    TinymlError.__init__(error, fields["message"], hint=fields["hint"])
    for name in fields.keys() - {"message", "hint"}:
        setattr(error, name, fields[name])
    return error
