"""The data set that a recipe names, wherever it lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyml.core import registry
from tinyml.core.errors import DataError, UsageError
from tinyml.core.recipe import Recipe

if TYPE_CHECKING:
    from tinyml.core.checkpoint import Checkpoint
    from tinyml.core.image_processor import ImageProcessor
    from tinyml.models.data.images import ImageSet
    from tinyml.models.data.recordings import RecordingSet

Report = Callable[[Mapping[str, Any]], None]
GENERATED = ("synthetic", "shapes")
IMAGES = ("cifar10", "image_folder", "mnist", "shapes")


def recording_set(recipe: Recipe, root: Path | None, *, strict: bool = False) -> RecordingSet:
    """Load ``recipe``'s set; ``root`` overrides where it lies.

    Raises `DataError` when it is missing or of another layout, or contradicts itself and
    ``strict``; `UsageError` for a folder given to a set that is generated.
    """
    if recipe.data.set in IMAGES:
        raise DataError(f"data set '{recipe.data.set}' holds images, the model takes recordings")
    options = _options(recipe, root)
    if strict and recipe.data.set not in GENERATED:
        options["strict"] = True
    found: RecordingSet = registry.load("data set", recipe.data.set)(options, recipe.seed)
    return found


def image_set(
    recipe: Recipe, root: Path | None, processor: ImageProcessor, report: Report | None = None
) -> ImageSet:
    """Load ``recipe``'s set as ``processor`` takes images: its side and channels.

    ``root`` and the errors as in `recording_set`; `DataError` for a set of recordings.
    """
    name = recipe.data.set
    if name in registry.DATA_SETS and name not in IMAGES:
        raise DataError(
            f"data set '{name}' holds recordings, the model takes images",
            hint=f"sets of images: {', '.join(IMAGES)}",
        )
    load = registry.load("data set", name)
    found: ImageSet = load(
        _options(recipe, root),
        recipe.seed,
        side=processor.side,
        channels=processor.channels,
        report=report,
    )
    return found


def is_same(facts: Mapping[str, Any], found: ImageSet | RecordingSet) -> bool:
    """Whether ``found`` is the data that training, whose ``facts`` these are, saw."""
    return bool(found.sha256 == facts["data_sha256"])


def check_same(saved: Checkpoint, found: ImageSet | RecordingSet, otherwise: str) -> None:
    """`DataError` unless ``found`` is what ``saved`` was trained on; ``otherwise`` is a hint."""
    if not is_same(saved.facts, found):
        raise DataError(
            f"this is not the data that the model was trained on: '{found.name}' has changed",
            hint=f"give the same data with `data`, or {otherwise}",
        )


def _options(recipe: Recipe, root: Path | None) -> dict[str, str | int | float | bool]:
    options = dict(recipe.data.options)
    if root is not None and recipe.data.set in GENERATED:
        raise UsageError(f"the {recipe.data.set} set is generated: it takes no `data`")
    if root is not None:
        options["root"] = str(root)
    return options
