"""What a data set declares of itself, in its own file; the registry names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class DataSetEntry:
    """One data set of this package.

    name       as in the registry and in [data] of a recipe
    kind       what it holds; a model takes one of them
    load       (options, seed) -> `RecordingSet` or `ImageSet`. Of images it also takes
               ``side``, ``channels`` and ``report`` by name, all optional
    generated  made from the seed by its own file: it takes no folder
    caveat     what a reader of its figures must know, for the model card; empty if nothing
    """

    name: str
    kind: Literal["recordings", "images"]
    load: Callable[..., Any]
    generated: bool = False
    caveat: str = ""
