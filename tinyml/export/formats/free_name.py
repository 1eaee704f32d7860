"""Names that are free."""

from __future__ import annotations


def free_name(name: str, taken: set[str]) -> str:
    """``name``, or ``name~2`` ... where it is taken; the result is added to ``taken``."""
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}~{count}"
    taken.add(free)
    return free
