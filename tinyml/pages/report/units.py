"""Numbers as the report shows them: few digits, and a unit that fits."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

KILO, MEGA = 1_000, 1_000_000


def size_text(size: int) -> str:
    """Bytes as ``74.2 KB``, in thousands."""
    if size >= MEGA:
        return f"{size / MEGA:.2f} MB"
    return f"{size / KILO:.1f} KB" if size >= KILO else f"{size} B"


def ms_text(nanoseconds: float) -> str:
    """Three digits of milliseconds."""
    ms = nanoseconds / 1e6
    return f"{ms:.{digits_for(ms)}f} ms"


def ms_of(nanoseconds: float | None) -> str:
    """As `ms_text`, without the unit, for a table; ``-`` where it is not known."""
    return "-" if nanoseconds is None else ms_text(nanoseconds).removesuffix(" ms")


def digits_for(value: float) -> int:
    """Decimals that show three digits of ``value``."""
    return max(0, 2 - math.floor(math.log10(abs(value)))) if value else 2


def counted(count: int, unit: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"


def first_of(names: Sequence[str], most: int) -> str:
    """``a, b and 3 more``."""
    shown, more = ", ".join(names[:most]), len(names) - most
    return f"{shown} and {more} more" if more > 0 else shown


def command(*words: str) -> str:
    """A command line with its words quoted where a shell needs it."""
    return shlex.join(words)
