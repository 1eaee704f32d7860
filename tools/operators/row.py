"""A row of the table: one operator, and the shape of what it is given."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

VECTOR = (1, 16)
FRAMES = (1, 6, 16)
SIGNAL = (1, 4, 24)
IMAGE = (1, 4, 10, 10)
VOLUME = (1, 2, 6, 6, 6)
IDS = (1, 8)
# The input of IDS holds integers below this.
ID_COUNT = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One operator.

    name   as users write it: ``nn.GELU``, ``torch.flip``, with what is chosen in brackets
    group  the heading of its table
    build  makes the operator alone, a module of one tensor
    shape  of that tensor
    """

    name: str
    group: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]

    @property
    def id(self) -> str:
        """The name as a Python identifier, for files and factories."""
        return re.sub(r"\W+", "_", self.name).strip("_")


def rows_of(
    group: str, shape: tuple[int, ...], table: dict[str, Callable[[], nn.Module]]
) -> tuple[Row, ...]:
    """The rows of one heading whose operators take one ``shape``."""
    return tuple(Row(name, group, build, shape) for name, build in table.items())
