"""The data set that a bundle or a recipe names, wherever it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinyml.core import registry
from tinyml.core.bundle import Bundle
from tinyml.core.errors import DataError, InputError, UsageError
from tinyml.core.events import Report
from tinyml.core.processor import Processor
from tinyml.core.recipe import Recipe
from tinyml.core.training_record import TrainingRecord

if TYPE_CHECKING:
    from tinyml.core.checkpoint import Checkpoint
    from tinyml.core.image_processor import ImageProcessor
    from tinyml.models.data.entry import DataSetEntry
    from tinyml.models.data.images import ImageSet
    from tinyml.models.data.recordings import RecordingSet


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a bundle of a trained model knows of its data."""

    processor: Processor
    recipe: Recipe
    training: TrainingRecord


def recorded(bundle: Bundle) -> Recorded | None:
    """``None`` for a model that was not trained here."""
    training, recipe = bundle.facts.training, bundle.facts.recipe
    if bundle.processor is None or training is None or recipe is None:
        return None
    return Recorded(bundle.processor, recipe, training)


def require_recorded(bundle: Bundle) -> Recorded:
    """`recorded`; `InputError` where there is nothing."""
    found = recorded(bundle)
    if found is None:
        raise InputError(f"{bundle.folder} does not record which data it was trained on")
    return found


def recording_set(recipe: Recipe, root: Path | None, *, strict: bool = False) -> RecordingSet:
    """Load ``recipe``'s set; ``root`` overrides where it lies.

    Raises `DataError` when it is missing or of another layout, or contradicts itself and
    ``strict``; `UsageError` for a folder given to a set that is generated.
    """
    entry: DataSetEntry = registry.load("data set", recipe.data.set)
    if entry.kind != "recordings":
        raise DataError(f"data set '{entry.name}' holds {entry.kind}, the model takes recordings")
    options = _options(recipe, entry, root)
    if strict and not entry.generated:
        options["strict"] = True
    found: RecordingSet = entry.load(options, recipe.seed)
    return found


def image_set(
    recipe: Recipe, root: Path | None, processor: ImageProcessor, report: Report | None = None
) -> ImageSet:
    """Load ``recipe``'s set as ``processor`` takes images: its side and channels.

    ``root`` and the errors as in `recording_set`; `DataError` for a set of recordings.
    """
    entry: DataSetEntry = registry.load("data set", recipe.data.set)
    if entry.kind != "images":
        raise DataError(
            f"data set '{entry.name}' holds {entry.kind}, the model takes images",
            hint=f"sets of images: {', '.join(_of_kind('images'))}",
        )
    found: ImageSet = entry.load(
        _options(recipe, entry, root),
        recipe.seed,
        side=processor.side,
        channels=processor.channels,
        report=report,
    )
    return found


def caveat(name: str) -> str:
    """What a reader of figures from the set ``name`` must know; empty if nothing is known."""
    if name not in registry.DATA_SETS:
        return ""
    entry: DataSetEntry = registry.load("data set", name)
    return entry.caveat


def _of_kind(kind: str) -> list[str]:
    return [n for n in registry.DATA_SETS if registry.load("data set", n).kind == kind]


def is_same(record: TrainingRecord, found: ImageSet | RecordingSet) -> bool:
    """Whether ``found`` is the data that training, whose ``record`` this is, saw."""
    return bool(found.sha256 == record.data_sha256)


def check_same(saved: Checkpoint, found: ImageSet | RecordingSet, otherwise: str) -> None:
    """`DataError` unless ``found`` is what ``saved`` was trained on; ``otherwise`` is a hint."""
    if not is_same(saved.trained, found):
        raise DataError(
            f"this is not the data that the model was trained on: '{found.name}' has changed",
            hint=f"give the same data with `data`, or {otherwise}",
        )


def _options(
    recipe: Recipe, entry: DataSetEntry, root: Path | None
) -> dict[str, str | int | float | bool]:
    options = dict(recipe.data.options)
    if root is not None and entry.generated:
        raise UsageError(f"the {entry.name} set is generated: it takes no `data`")
    if root is not None:
        options["root"] = str(root)
    return options
