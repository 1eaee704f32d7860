"""Labels and metrics of a data set, through PyTorch or through a bundle's own file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core import bundle as bundles
from tinyml.core import checkpoint, registry
from tinyml.core.errors import DataError, InputError, UsageError, require
from tinyml.core.events import Message, Progress, Report
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.processor import Floats, Processor
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import recording_processor
from tinyml.core.typed_json import from_json
from tinyml.models.data.images import ImageSet, ImageSplit
from tinyml.models.data.recordings import RecordingSet, subject_labels
from tinyml.models.training.image_metrics import image_metrics
from tinyml.models.training.metrics import subject_metrics
from tinyml.models.training.predict import by_subject, predict_recordings
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.model_sources.entries import entry_of
from tinyml.pipeline.outputs.data import image_set, is_same, recording_set
from tinyml.pipeline.outputs.engines import choose
from tinyml.pipeline.predict import windows_through

PARTS = ("validation", "all")
BATCH = 64


@dataclass(frozen=True, slots=True)
class _Opened:
    """A checkpoint or bundle: ``answer`` takes graph inputs [n, ...] to [n, classes]."""

    processor: Processor
    recipe: Recipe
    facts: Mapping[str, Any]
    answer: Callable[[Floats], Floats]


def evaluate(
    what: Path, *, part: str, data: Path | None, runtime: str | None, report: Report
) -> dict[str, Any]:
    """``metrics`` over subjects or images.

    Of recordings also ``recordings``: ``id``, ``person`` and ``probabilities`` of each.
    Raises `DataError` when the data cannot be used or has other labels, `CheckpointError` for
    weights and `ValidationError` for outputs that are not finite. Data that training did not see
    is a warning.
    """
    if part not in PARTS:
        raise registry.unknown_name("part", part, PARTS)
    opened = _bundle if (what / bundles.MANIFEST).is_file() else _checkpoint
    model = opened(what, runtime)
    if isinstance(model.processor, ImageProcessor):
        return {"metrics": _of_images(model, model.processor, part, data, report)}
    return _of_subjects(model, part, data, report)


def _of_subjects(model: _Opened, part: str, data: Path | None, report: Report) -> dict[str, Any]:
    processor, facts = recording_processor(model.processor), model.facts
    found = recording_set(model.recipe, data)
    _check_data(found, model, report)
    validation = set(facts["split"]["validation"])
    left_out = set(facts["left_out"])
    usable = [r for r in found.recordings if r.id not in left_out]
    chosen = [r for r in usable if part == "all" or r.subject in validation]
    if not chosen:
        raise DataError(
            f"'{found.name}' has none of the {len(validation)} subjects of the validation set",
            hint="give the data that the model was trained on, or --part all",
        )
    answers = predict_recordings(model.answer, processor, chosen, report)
    subjects = by_subject(processor, [r.subject for r in chosen], answers)
    return {
        "metrics": subject_metrics(processor, subject_labels(found), subjects),
        "recordings": [
            {"id": r.id, "person": r.subject, "probabilities": [float(p) for p in answer]}
            for r, answer in zip(chosen, answers, strict=True)
        ],
    }


def _of_images(
    model: _Opened, processor: ImageProcessor, part: str, data: Path | None, report: Report
) -> dict[str, Any]:
    found = image_set(model.recipe, data, processor, report)
    _check_data(found, model, report)
    parts = [found.test] if part == "validation" else [found.training, found.test]
    total, done = sum(len(own.labels) for own in parts), 0
    answers: list[int] = []
    for own in parts:
        for inputs in _batches(own, processor):
            answers += [int(label) for label in model.answer(inputs).argmax(axis=1)]
            done += len(inputs)
            report(Progress("images", done, total))
    return image_metrics(processor.labels, np.concatenate([own.labels for own in parts]), answers)


def _check_data(found: ImageSet | RecordingSet, model: _Opened, report: Report) -> None:
    """`DataError` for a set of other labels; a warning for one that training did not see."""
    labels = model.processor.labels
    if found.labels != labels:
        raise DataError(
            f"'{found.name}' has the classes {', '.join(found.labels[:5])} ..., the model "
            f"{', '.join(labels[:5])} ...: they cannot be compared"
        )
    if not is_same(model.facts, found):
        report(Message("warning: this is not the data that the model was trained on"))


def _batches(part: ImageSplit, processor: ImageProcessor) -> Iterator[Floats]:
    for start in range(0, len(part.labels), BATCH):
        yield processor.preprocess(part.images[start : start + BATCH])


def _bundle(folder: Path, runtime: str | None) -> _Opened:
    bundle = bundles.read(folder)
    check_bundle(bundle)
    training = bundle.facts.get("training")
    if bundle.processor is None or not training:
        raise InputError(f"{folder} does not record which data it was trained on")
    recipe = from_json(Recipe, bundle.facts.get("recipe"), what=f"{bundle.folder}: its recipe")
    answer = windows_through(choose(bundle, runtime))
    return _Opened(bundle.processor, recipe, training, answer)


def _checkpoint(path: Path, runtime: str | None) -> _Opened:
    if runtime is not None:
        raise UsageError("--runtime chooses among a bundle's files; this is a checkpoint")
    saved = checkpoint.load(path)
    require("torch", "torch", "train")
    from tinyml.models.training.run import classify_windows, load_module

    module = load_module(entry_of(saved), saved)
    return _Opened(saved.processor, saved.recipe, saved.facts, classify_windows(module))
