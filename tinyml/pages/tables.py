"""Tables for a terminal, of 80 columns unless the terminal is wider.

Numbers are aligned to the right and never shortened. A sentence is wrapped. A word that is too
long for its column, such as one of TensorFlow's fused tensor names, is shortened in the middle.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tinyml.core.text import ELLIPSIS, shorten

WIDTH = 80
# Narrower columns of names say nothing.
LEAST = 8
GAP = 2
# What ends a part of a name.
SEPARATORS = "/.;"
_NUMBER = re.compile(r"[-+]?\.?\d[\d,.]*(e[-+]?\d+)?( ?[^\s\d]{1,8})?")


def width() -> int:
    """Columns of the terminal; `WIDTH` where there is none, or it is narrower."""
    return max(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)


def ms(nanoseconds: float | None) -> str:
    """Milliseconds as tables show them."""
    return "-" if nanoseconds is None else f"{nanoseconds / 1e6:.3f}"


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    whole: Collection[str] = (),
    indent: int = 0,
    columns: int = 0,
) -> str:
    """Aligned lines of at most ``columns`` characters (0: `width`), ``indent`` spaces in.

    The columns with the heads ``whole`` are neither wrapped nor shortened.
    """
    cells = [tuple(str(cell) for cell in row) for row in rows]
    drawn = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="")
    by_column = [tuple(row[i] for row in cells) for i in range(len(head))]
    for title, column in zip(head, by_column, strict=True):
        numbers = bool(column) and all(is_number(cell) for cell in column)
        drawn.add_column(
            title,
            justify="right" if numbers else "left",
            no_wrap=numbers or title in whole,
            min_width=_least(column),
        )
    for place, row in enumerate(cells):
        drawn.add_row(
            *(
                Text(cell) if is_number(cell) else _Cell(column, place)
                for cell, column in zip(row, by_column, strict=True)
            )
        )
    return textwrap.indent(_render(drawn, (columns or width()) - indent), " " * indent)


def paragraph(label: str, text: str, *, indent: int = 0, columns: int = 0) -> str:
    """``label`` and ``text`` behind it, wrapped; the second line starts under ``text``."""
    first = " " * indent + label
    lines = _wrapped(text, (columns or width()) - len(first))
    return f"\n{' ' * len(first)}".join([first + lines[0], *lines[1:]])


def shorten_all(names: tuple[str, ...], limit: int) -> tuple[str, ...]:
    """``names`` of one column in at most ``limit`` characters each, told apart where possible.

    Where one is too long, the start that all share gives way first, in whole parts. Of a name
    that TensorFlow fused (``relu;norm;conv``) the first part is kept, or the middle is left out:
    the way that leaves more names different.
    """
    if max(map(len, names), default=0) <= limit:
        return names
    bare = _without_shared_start(names, limit)
    fused = tuple(first + ELLIPSIS if more else first for first, more in map(_first_part, bare))
    ways = [tuple(shorten(name, limit) for name in way) for way in (fused, bare)]
    return max(ways, key=lambda way: len(set(way)))


def _first_part(name: str) -> tuple[str, str]:
    first, _, more = name.partition(";")
    return first, more


def _without_shared_start(names: tuple[str, ...], limit: int) -> tuple[str, ...]:
    """``names`` without the start that all which are too long share, in whole parts."""
    shared = _shared_start({name for name in names if len(name) > limit})
    if len(shared) < LEAST // 2:
        return names
    return tuple(ELLIPSIS + name[len(shared) :] if len(name) > limit else name for name in names)


def _shared_start(names: Collection[str]) -> str:
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)
    pairs = enumerate(zip(first, last, strict=False))
    shared = first[: next((place for place, (a, b) in pairs if a != b), 0)]
    return shared[: max(map(shared.rfind, SEPARATORS)) + 1]


def is_number(cell: str) -> bool:
    """Whether ``cell`` is a number, perhaps with a short unit behind it, or stands for none."""
    return cell in ("", "-") or _NUMBER.fullmatch(cell) is not None


def records(rows: Sequence[Mapping[str, str]], *, indent: int = 0, columns: int = 0) -> str:
    """Rows of sentences: a line for each value, behind its key."""
    longest = max(len(key) for row in rows for key in row) + GAP
    blocks = [
        "\n".join(
            paragraph(f"{key:<{longest}}", value, indent=indent, columns=columns)
            for key, value in row.items()
        )
        for row in rows
    ]
    return "\n\n".join(blocks)


@dataclass(frozen=True, slots=True)
class Section:
    """A title, a table under it if there are rows, and lines under that."""

    title: str
    head: tuple[str, ...] = ()
    rows: Sequence[tuple[object, ...]] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Cell:
    """One of ``column``'s cells, drawn in as many lines as its width needs."""

    column: tuple[str, ...]
    place: int

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max(map(len, self.column[self.place].splitlines()), default=0)
        return Measurement(min(longest, LEAST), longest)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        limit = options.max_width
        if not any(" " in cell for cell in self.column):
            yield Text(_shortened(self.column, limit)[self.place])
            return
        yield Text("\n".join(_wrapped(self.column[self.place], limit)))


_shortened = cache(shorten_all)


def _least(column: Sequence[str]) -> int:
    return min(LEAST, max(map(len, column), default=0))


def _wrapped(text: str, limit: int) -> list[str]:
    """Lines of whole words; a word that is longer than a line is shortened."""
    found: list[str] = []
    for line in text.splitlines() or [""]:
        words = " ".join(shorten(word, limit) for word in line.split(" "))
        found += textwrap.wrap(words, limit, break_long_words=False, break_on_hyphens=False) or [""]
    return found


def _render(drawn: Table, columns: int) -> str:
    console = Console(width=columns, color_system=None, force_terminal=False, legacy_windows=False)
    return "\n".join(_lines(console, drawn))


def _lines(console: Console, drawn: Table) -> Iterator[str]:
    for line in console.render_lines(drawn, pad=False):
        yield "".join(segment.text for segment in line).rstrip()
