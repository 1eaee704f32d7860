"""Which line of the user's own code an error, an operation or a class comes from."""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.fx import Node

_OURS = str(Path(__file__).parents[1])
_STACK_LINE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


@dataclass(frozen=True, slots=True)
class UserLine:
    """``where``: ``file:line``; ``expression``: what was computed there, empty if not known."""

    where: str = ""
    expression: str = ""

    @property
    def call(self) -> ast.Call | None:
        """``expression``, if it is a call."""
        try:
            tree = ast.parse(f"({self.expression})", mode="eval").body
        except SyntaxError:
            return None
        return tree if isinstance(tree, ast.Call) else None

    @property
    def called(self) -> str:
        """The last name of what is called: ``stack`` of ``torch.stack([a, b])``."""
        function = self.call.func if self.call else None
        if isinstance(function, ast.Attribute):
            return function.attr
        return function.id if isinstance(function, ast.Name) else ""


def from_node(node: Node) -> str:
    """``file:line`` of the deepest of the user's lines that ``node`` was captured from."""
    stack = str(node.meta.get("stack_trace") or "")
    found = [(hit["file"], int(hit["line"])) for hit in _STACK_LINE.finditer(stack)]
    users = [place for place in found if _is_users(place[0])]
    return _shown(*users[-1]) if users else ""


def from_error(error: BaseException, file: str) -> UserLine:
    """The deepest frame of the user's; one in ``file`` is taken before others."""
    frames = [
        frame
        for cause in _chain(error)
        for frame in _below_us(cause.__traceback__)
        if _is_users(_file(frame))
    ]
    preferred = [frame for frame in frames if _file(frame) == file] or frames
    if not preferred:
        return UserLine()
    frame = preferred[-1]
    return UserLine(_shown(_file(frame), frame.tb_lineno), _expression(frame))


def functions_of(error: BaseException) -> set[str]:
    """The names of all functions that ``error`` came through."""
    frames = [frame for cause in _chain(error) for frame in _below_us(cause.__traceback__)]
    return {frame.tb_frame.f_code.co_name for frame in frames}


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


def _expression(frame: TracebackType) -> str:
    """The text that the frame's last instruction was made of, on one line."""
    code = frame.tb_frame.f_code
    place = next(islice(code.co_positions(), frame.tb_lasti // 2, None), None)
    if place is None or None in place:
        return ""
    first, last, start, end = (value or 0 for value in place)
    lines = [linecache.getline(code.co_filename, n).encode() for n in range(first, last + 1)]
    if not all(lines):
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    return " ".join(b" ".join(lines).decode(errors="replace").split())


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))  # ``raise error from error`` is a chain without an end
        yield link
        link = link.__cause__


def _below_us(traceback: TracebackType | None) -> Iterator[TracebackType]:
    """The frames below the first of this package: its callers are not the cause."""
    reached = False
    while traceback is not None:
        reached = reached or _file(traceback).startswith(_OURS)
        if reached:
            yield traceback
        traceback = traceback.tb_next


def _file(frame: TracebackType) -> str:
    return frame.tb_frame.f_code.co_filename


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
