"""What was found out about model files: where, what it costs, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """``rule`` is the rule's name; ``node`` an operator, tensor or stage of the file."""

    rule: str
    node: str
    cost: str
    cure: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Harm:
    """One layer of a file.

    alone_db    SQNR of the outputs when nothing else is in integers; None: it changes nothing
    without_db  the same when all else is in integers and this stays in float32
    operators   how many it has
    """

    layer: str
    alone_db: float | None
    without_db: float | None
    operators: int


@dataclass(frozen=True, slots=True)
class Explained:
    """Harm by layer in the file's order, and SQNR with all of them in integers."""

    harms: tuple[Harm, ...]
    whole_db: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Explained:
        return cls(tuple(Harm(**row) for row in data["harms"]), data["whole_db"])


@dataclass(frozen=True, slots=True)
class Confusion:
    """Predicted classes of samples: the float file's against the integers'.

    ``pairs``: (class in float, class in integers, how many samples), none of them empty.
    """

    classes: tuple[str, ...]
    pairs: tuple[tuple[int, int, int], ...]

    @property
    def samples(self) -> int:
        return sum(count for *_, count in self.pairs)

    @property
    def moved(self) -> int:
        """Samples that the integers put into another class."""
        return sum(count for want, got, count in self.pairs if want != got)

    def histogram(self, side: int) -> list[int]:
        """Samples of each class, ``side`` 0: in float, 1: in integers."""
        found = [0] * len(self.classes)
        for pair in self.pairs:
            found[pair[side]] += pair[2]
        return found

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
