"""Counts and sizes in the words of a finding."""

from __future__ import annotations


def many(count: int, noun: str) -> str:
    """``1 step``, ``2 steps``, with thousands apart."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def in_bytes(size: int) -> str:
    """A size that a person can read: bytes, KB (1000 bytes) or MB."""
    if size < 10_000:
        return many(size, "byte")
    return f"{size / 1e3:,.0f} KB" if size < 10_000_000 else f"{size / 1e6:,.1f} MB"
