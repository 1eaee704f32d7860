"""What a rule says: where, what it costs, what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """``rule`` is the rule's name; ``node`` an operator or tensor of the file."""

    rule: str
    node: str
    cost: str
    cure: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def many(count: int, noun: str) -> str:
    """``1 step``, ``2 steps``, with thousands apart."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def in_bytes(size: int) -> str:
    """A size that a person can read: bytes, KB (1000 bytes) or MB."""
    if size < 10_000:
        return many(size, "byte")
    return f"{size / 1e3:,.0f} KB" if size < 10_000_000 else f"{size / 1e6:,.1f} MB"
