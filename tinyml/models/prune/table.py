"""The pruning methods by name: one visible table, one method per file."""

from __future__ import annotations

from tinyml.core.registry import unknown_name
from tinyml.models.prune.gradual import GRADUAL
from tinyml.models.prune.lottery import LOTTERY
from tinyml.models.prune.magnitude import MAGNITUDE
from tinyml.models.prune.method import Method

METHODS: dict[str, Method] = {own.name: own for own in (GRADUAL, LOTTERY, MAGNITUDE)}


def find_method(name: str) -> Method:
    """The method called ``name``; `UsageError` with the nearest if there is none."""
    if name not in METHODS:
        raise unknown_name("pruning method", name, METHODS)
    return METHODS[name]
