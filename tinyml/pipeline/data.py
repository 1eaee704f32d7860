"""The data set that a recipe names, wherever it lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tinyml import registry
from tinyml.errors import UsageError
from tinyml.recipe import Recipe

if TYPE_CHECKING:
    from tinyml.models.data.recordings import RecordingSet


def recording_set(recipe: Recipe, root: Path | None, *, strict: bool = False) -> RecordingSet:
    """Load ``recipe``'s set; ``root`` overrides where it lies.

    Raises `DataError` when it is missing or of another layout, or contradicts itself and
    ``strict``; `UsageError` for a folder given to a set that is generated.
    """
    options = dict(recipe.data.options)
    generated = recipe.data.set == "synthetic"
    if root is not None and generated:
        raise UsageError("the synthetic set is generated: it takes no --data")
    if root is not None:
        options["root"] = str(root)
    if strict and not generated:
        options["strict"] = True
    found: RecordingSet = registry.load("data set", recipe.data.set)(options, recipe.seed)
    return found
