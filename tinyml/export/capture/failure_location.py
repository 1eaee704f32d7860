"""Where a refusal comes from, and the one line that tells the user."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tinyml.core.errors import ExportError
from tinyml.export.capture.known_errors import fix_for

CAPTURE = "torch.export cannot capture {}"
EAGER = "PyTorch itself fails in {}"
_OURS = str(Path(__file__).parents[1])
# Of MLIR's messages: `FILE:LINE:COLUMN: error: ` before, and the operation's text after.
_PLACE = re.compile(r"\S+:\d+:\d+: error: |error: \"[^']*\): (?=')")
_DUMP = re.compile(r": %\w+ = .*$")
_STACK_LINE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


@dataclass(frozen=True, slots=True)
class FailureLocation:
    """The smallest part that fails.

    name     qualified name of the submodule; empty: the module itself
    kind     its class
    where    ``file:line`` of the user's source; empty when it is not known
    message  the converter's error for it, one line
    fix      what helps; empty: it is chosen by the message
    """

    name: str
    kind: str
    where: str
    message: str
    fix: str = ""

    @property
    def subject(self) -> str:
        """For a sentence: ``'front' (Front, net.py:12)``."""
        inside = ", ".join(part for part in (self.kind, self.where) if part)
        named = f"'{self.name}'" if self.name else "the module itself"
        return f"{named} ({inside})" if inside else named


def refusal(
    sentence: str, location: FailureLocation, log: Path | None, *, cut_short: bool
) -> ExportError:
    """The error for ``sentence``, which has ``{}`` for the subject; hint: the fix, then the log."""
    hint = [location.fix or fix_for(location.message)]
    if cut_short:
        hint.append("time ran out before smaller parts were tried")
    if log is not None:
        hint.append(f"the whole log: {log}")
    message = f"{sentence.format(location.subject)}: {location.message}"
    error = ExportError(message, hint="; ".join(hint))
    error.located = True
    return error


def reason(message: str) -> str:
    """The converter's own error, without our words, dumps and places in generated code."""
    own = message.partition(": ")[2] or message
    return _DUMP.sub("", _PLACE.sub("", own)).strip(" :")


def from_stack(stack: str) -> str:
    """``file:line`` of the deepest line of a stack trace's text that is the user's."""
    found = [(hit["file"], int(hit["line"])) for hit in _STACK_LINE.finditer(stack)]
    users = [place for place in found if _is_users(place[0])]
    return _shown(*users[-1]) if users else ""


def from_error(error: BaseException, file: str) -> str:
    """``file:line`` of the deepest frame of the user's; one in ``file`` is taken before others."""
    frames = [
        (file_of, line)
        for cause in _chain(error)
        for file_of, line in _below_us(cause.__traceback__)
        if _is_users(file_of)
    ]
    preferred = [place for place in frames if place[0] == file] or frames
    return _shown(*preferred[-1]) if preferred else ""


def source_file(kind: type) -> str:
    """The file that holds ``kind``'s forward; empty when there is none."""
    try:
        return inspect.getsourcefile(kind.forward) or ""  # type: ignore[attr-defined]
    except (TypeError, OSError):
        return ""


def source_line(kind: type) -> str:
    """``file:line`` where ``kind``'s forward begins, if it is the user's."""
    file = source_file(kind)
    if not file or not _is_users(file):
        return ""
    function: Any = kind.forward  # type: ignore[attr-defined]
    try:
        return _shown(file, inspect.getsourcelines(function)[1])
    except OSError:
        return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))  # ``raise error from error`` is a chain without an end
        yield link
        link = link.__cause__


def _below_us(traceback: TracebackType | None) -> Iterator[tuple[str, int]]:
    """(file, line) of the frames below the first of this package: its callers are not the cause."""
    reached = False
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        reached = reached or file.startswith(_OURS)
        if reached:
            yield file, traceback.tb_lineno
        traceback = traceback.tb_next


def _is_users(file: str) -> bool:
    """Neither torch's, nor generated, nor of this package."""
    return not (
        file.startswith((_OURS, "<"))
        or f"{os.sep}site-packages{os.sep}torch{os.sep}" in file
        or (f"{os.sep}lib{os.sep}python" in file and "site-packages" not in file)
    )


def _shown(file: str, line: int) -> str:
    path = Path(file)
    here = Path.cwd()
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}:{line}"
