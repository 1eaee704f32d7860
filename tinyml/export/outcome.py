"""What a rewrite did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Outcome:
    """``count``: how often it fired; ``refused``: node -> why it was left as it is."""

    count: int
    refused: Mapping[str, str] = field(default_factory=dict)
