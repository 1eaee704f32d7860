"""Labels and metrics of a data set, through PyTorch or through a bundle's own file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core import checkpoint, registry
from tinyml.core.errors import UsageError, require
from tinyml.core.events import Message, Report
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.processor import Floats, Processor
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import recording_processor
from tinyml.core.training_record import ImageMetrics, SubjectMetrics, TrainingRecord
from tinyml.core.typed_json import OMIT_NONE
from tinyml.models.data.images import ImageSet
from tinyml.models.data.recordings import RecordingSet, subject_labels
from tinyml.models.training.image_metrics import image_metrics
from tinyml.models.training.metrics import subject_metrics
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.model_sources.entries import entry_of
from tinyml.pipeline.outputs.data import image_set, is_same, recording_set, require_recorded
from tinyml.pipeline.outputs.engines import choose
from tinyml.pipeline.outputs.judged import (
    check_labels,
    judge_images,
    judge_recordings,
    validation_recordings,
)
from tinyml.pipeline.predict import windows_through

PARTS = ("validation", "all")


@dataclass(frozen=True, slots=True)
class RecordingOutputs:
    """Probabilities of one recording, by class."""

    id: str
    person: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics, and of a model of recordings the outputs of each."""

    metrics: SubjectMetrics | ImageMetrics
    recordings: tuple[RecordingOutputs, ...] | None = field(
        default=None, metadata={OMIT_NONE: True}
    )


@dataclass(frozen=True, slots=True)
class _Opened:
    """A checkpoint or bundle: ``answer`` takes graph inputs [n, ...] to [n, classes]."""

    processor: Processor
    recipe: Recipe
    record: TrainingRecord
    answer: Callable[[Floats], Floats]


def evaluate(
    what: Path, *, part: str, data: Path | None, runtime: str | None, report: Report
) -> Evaluation:
    """Metrics over subjects or images, through a checkpoint or a bundle's file.

    Raises `DataError` when the data cannot be used or has other labels, `CheckpointError` for
    weights and `ValidationError` for outputs that are not finite. Data that training did not see
    is a warning.
    """
    if part not in PARTS:
        raise registry.unknown_name("part", part, PARTS)
    opened = _bundle if (what / bundles.MANIFEST).is_file() else _checkpoint
    model = opened(what, runtime)
    if isinstance(model.processor, ImageProcessor):
        return Evaluation(_of_images(model, model.processor, part, data, report))
    return _of_subjects(model, part, data, report)


def _of_subjects(model: _Opened, part: str, data: Path | None, report: Report) -> Evaluation:
    processor, record = recording_processor(model.processor), model.record
    found = recording_set(model.recipe, data)
    _check_data(found, model, report)
    subjects = record.validation_subjects
    if part == "all":
        subjects = frozenset(r.subject for r in found.recordings)
    chosen = validation_recordings(found, subjects, record.left_out)
    judged = judge_recordings(model.answer, processor, found, chosen, report)
    by_name = dict(zip(judged.subjects, judged.probabilities, strict=True))
    return Evaluation(
        metrics=subject_metrics(processor, subject_labels(found), by_name),
        recordings=tuple(
            RecordingOutputs(r.id, r.subject, tuple(float(p) for p in answer))
            for r, answer in zip(judged.recordings, judged.answers, strict=True)
        ),
    )


def _of_images(
    model: _Opened, processor: ImageProcessor, part: str, data: Path | None, report: Report
) -> ImageMetrics:
    found = image_set(model.recipe, data, processor, report)
    _check_data(found, model, report)
    parts = [found.test] if part == "validation" else [found.training, found.test]
    judged = judge_images(model.answer, processor, parts, report)
    return image_metrics(processor.labels, judged.truths, judged.probabilities.argmax(axis=1))


def _check_data(found: ImageSet | RecordingSet, model: _Opened, report: Report) -> None:
    """`DataError` for a set of other labels; a warning for one that training did not see."""
    check_labels(model.processor, found)
    if not is_same(model.record, found):
        report(Message("warning: this is not the data that the model was trained on"))


def _bundle(folder: Path, runtime: str | None) -> _Opened:
    bundle = bundles.read(folder)
    check_bundle(bundle)
    own = require_recorded(bundle)
    answer = windows_through(choose(bundle, runtime))
    return _Opened(own.processor, own.recipe, own.training, answer)


def _checkpoint(path: Path, runtime: str | None) -> _Opened:
    if runtime is not None:
        raise UsageError("--runtime chooses among a bundle's files; this is a checkpoint")
    saved = checkpoint.load(path)
    require("torch", "torch", "train")
    from tinyml.models.training.run import classify_windows, load_module

    module = load_module(entry_of(saved), saved)
    return _Opened(saved.processor, saved.recipe, saved.trained, classify_windows(module))
