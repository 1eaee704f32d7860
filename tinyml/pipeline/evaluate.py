"""Labels and metrics of a data set, through PyTorch or through a bundle's own file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
class Opened:
    """A checkpoint or bundle: ``answer`` takes graph inputs [n, ...] to [n, classes]."""

    processor: Processor
    recipe: Recipe
    record: TrainingRecord
    answer: Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Judged:
    """``cases``: recording or image -> its probabilities [classes]."""

    evaluation: Evaluation
    cases: Mapping[str, Floats]


def evaluate(
    what: Path, *, part: str, data: Path | None, runtime: str | None, report: Report
) -> Evaluation:
    """Metrics over subjects or images, through a checkpoint or a bundle's file.

    Raises `DataError` when the data cannot be used or has other labels, `CheckpointError` for
    weights and `ValidationError` for outputs that are not finite. Data that training did not see
    is a warning.
    """
    check_part(part)
    opened = _bundle if (what / bundles.MANIFEST).is_file() else _checkpoint
    model = opened(what, runtime)
    found = load_data(model.processor, model.recipe, model.record, data, report)
    return judge(model, found, part, report).evaluation


def check_part(part: str) -> None:
    """Raise `UsageError` for another name than one of `PARTS`."""
    if part not in PARTS:
        raise registry.unknown_name("part", part, PARTS)


def load_data(
    processor: Processor,
    recipe: Recipe,
    record: TrainingRecord,
    data: Path | None,
    report: Report,
) -> ImageSet | RecordingSet:
    """The data set of ``recipe``; a warning for one that training did not see.

    Raises `DataError` when it cannot be used or has other labels.
    """
    found: ImageSet | RecordingSet
    if isinstance(processor, ImageProcessor):
        found = image_set(recipe, data, processor, report)
    else:
        found = recording_set(recipe, data)
    check_labels(processor, found)
    if not is_same(record, found):
        report(Message("warning: this is not the data that the model was trained on"))
    return found


def judge(model: Opened, found: ImageSet | RecordingSet, part: str, report: Report) -> Judged:
    """What ``model`` makes of a part of ``found``."""
    if isinstance(found, ImageSet):
        return _of_images(model, found, part, report)
    return _of_subjects(model, found, part, report)


def _of_subjects(model: Opened, found: RecordingSet, part: str, report: Report) -> Judged:
    processor, record = recording_processor(model.processor), model.record
    subjects = record.validation_subjects
    if part == "all":
        subjects = frozenset(r.subject for r in found.recordings)
    chosen = validation_recordings(found, subjects, record.left_out)
    judged = judge_recordings(model.answer, processor, found, chosen, report)
    by_name = dict(zip(judged.subjects, judged.probabilities, strict=True))
    answers = list(zip(judged.recordings, judged.answers, strict=True))
    evaluation = Evaluation(
        metrics=subject_metrics(processor, subject_labels(found), by_name),
        recordings=tuple(
            RecordingOutputs(r.id, r.subject, tuple(float(p) for p in answer))
            for r, answer in answers
        ),
    )
    return Judged(evaluation, {r.id: answer for r, answer in answers})


def _of_images(model: Opened, found: ImageSet, part: str, report: Report) -> Judged:
    processor = model.processor
    assert isinstance(processor, ImageProcessor)
    parts = {"training": found.training, "test": found.test}
    if part == "validation":
        del parts["training"]
    judged = judge_images(model.answer, processor, list(parts.values()), report)
    predictions = judged.probabilities.argmax(axis=1)
    metrics = image_metrics(processor.labels, judged.truths, predictions)
    names = [f"{name} image {n}" for name, own in parts.items() for n in range(len(own.labels))]
    return Judged(Evaluation(metrics), dict(zip(names, judged.probabilities, strict=True)))


def _bundle(folder: Path, runtime: str | None) -> Opened:
    bundle = bundles.read(folder)
    check_bundle(bundle)
    own = require_recorded(bundle)
    answer = windows_through(choose(bundle, runtime))
    return Opened(own.processor, own.recipe, own.training, answer)


def _checkpoint(path: Path, runtime: str | None) -> Opened:
    if runtime is not None:
        raise UsageError("--runtime chooses among a bundle's files; this is a checkpoint")
    saved = checkpoint.load(path)
    require("torch", "torch", "train")
    from tinyml.models.training.run import classify_windows, load_module

    module = load_module(entry_of(saved), saved)
    return Opened(saved.processor, saved.recipe, saved.trained, classify_windows(module))
