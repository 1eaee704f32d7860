"""Text for a terminal: nothing in it moves the cursor, and long text is shortened."""

from __future__ import annotations

ELLIPSIS = "…"


def printable(text: str) -> str:
    """``text`` with control characters escaped; its line ends stay."""
    return "\n".join(map(_escaped, text.split("\n")))


def one_line(text: str, most: int) -> str:
    """``text`` in one line of at most ``most`` characters, with control characters escaped."""
    return shorten(_escaped(text), most)


def shorten(name: str, limit: int) -> str:
    """``name`` in at most ``limit`` characters: its middle gives way to an ellipsis."""
    if len(name) <= limit:
        return name
    tail = (limit - 1) // 2
    return name[: limit - 1 - tail] + ELLIPSIS + name[len(name) - tail :]


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Two numbers with as many decimals as it takes to see that they differ, two at least."""
    digits = 2
    while f"{one:.{digits}f}" == f"{other:.{digits}f}" and digits < 9:
        digits += 1
    return f"{one:.{digits}f}", f"{other:.{digits}f}"


def _escaped(line: str) -> str:
    return line if line.isprintable() else "".join(map(_escape, line))


def _escape(letter: str) -> str:
    return letter if letter.isprintable() else ascii(letter)[1:-1]
