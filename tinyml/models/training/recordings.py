"""Training: a recipe and a set of recordings in, one checkpoint out.

Windows make a recording and recordings a subject by the `RecordingProcessor`. Statistics come from
the training subjects alone, thresholds from inner folds of them. The state of a run lies
next to its results and is deleted when they are complete: stopped at any time, the same call
continues and writes the same bytes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from tinyml.core import checkpoint
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import RecipeError
from tinyml.core.events import Report
from tinyml.core.files import write_json
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import RecordingProcessor, recording_processor
from tinyml.models.data.recordings import RecordingSet, split_by_subject, subject_labels
from tinyml.models.protocol import ModelEntry
from tinyml.models.training.optimize import check_train
from tinyml.models.training.parts import check_truths
from tinyml.models.training.procedure import Procedure
from tinyml.models.training.recording_run import open_run, to_checkpoint
from tinyml.models.training.run import STATE, check_teacher, deterministic, finished, owned_folder

CURVE = "curve.json"
FINAL = "final"


def train(
    entry: ModelEntry,
    recipe: Recipe,
    data: RecordingSet,
    out: Path,
    report: Report,
    parent: Checkpoint | None = None,
    procedure: Procedure | None = None,
) -> Checkpoint:
    """Train one model on a split by subject; write ``checkpoint.safetensors`` and ``curve.json``.

    Continues a run that was stopped; a finished one is returned as it is. Raises
    `RecipeError`, `DataError`, `CheckpointError` when ``out`` holds another run's files,
    `UsageError` when another process works there.

    Without a ``procedure`` every weight is trained. ``parent`` is the trained model that a
    procedure begins with: its validation set stays the same (be that a fold), and so do its
    thresholds, since its weights have seen the subjects of every inner fold.
    """
    processor = processor_of(entry, recipe, data)
    check_teacher(recipe, parent)
    with owned_folder(out), deterministic(recipe.threads):
        done = finished(out, recipe, data.sha256, report, parent)
        if done is not None:
            return done
        run = open_run(
            entry, recipe, processor, data, out / STATE, FINAL, report, parent, procedure
        )
        training, validation = _split(run.examples.data, recipe, parent)
        check_truths(run.truths, processor.labels, training)
        if parent is None:
            processor = run.decide("", "", training)
        else:
            processor = replace(
                processor, thresholds=recording_processor(parent.processor).thresholds
            )
        module = run.fit_part(FINAL, "training", training, validation)
        outputs = run.examples.outputs(module, processor, validation)
        saved = to_checkpoint(run, module, processor, training, validation, outputs, parent)
        write_json(out / CURVE, saved.trained.curve)
        saved.save(out / checkpoint.FILE)
        run.path.unlink()
        return saved


def processor_of(entry: ModelEntry, recipe: Recipe, data: RecordingSet) -> RecordingProcessor:
    """The model's decision with the set's labels and what the recipe may change of it.

    Raises `RecipeError` for a window that is not the model's, and for values of [train]
    that cannot be used.
    """
    _check_split(recipe)
    check_train(recipe.train, len(data.labels))
    processor, wanted = recording_processor(entry.processor), recipe.decision
    window_s = processor.window / processor.rate_hz if processor.rate_hz else 0.0
    if wanted.window_s and wanted.window_s != window_s:
        takes = "the whole recording" if processor.whole else f"{window_s:g} s"
        raise RecipeError(
            f"[decision] window_s is {wanted.window_s:g}, '{entry.name}' takes {takes}",
            hint="remove window_s: the window belongs to the model",
        )
    if wanted.hop_s and (processor.whole or wanted.hop_s < 0):
        raise RecipeError(
            f"[decision] hop_s is {wanted.hop_s:g}: '{entry.name}' takes "
            + ("the whole recording at once" if processor.whole else "a positive one")
        )
    if wanted.aggregation not in ("mean", "max"):
        raise RecipeError(f"[decision] aggregation '{wanted.aggregation}' is neither mean nor max")
    hop = max(1, round(wanted.hop_s * processor.rate_hz)) if wanted.hop_s else processor.hop
    aggregation: Literal["mean", "max"] = "max" if wanted.aggregation == "max" else "mean"
    return replace(processor, labels=data.labels, hop=hop, aggregation=aggregation, thresholds=())


def _check_split(recipe: Recipe) -> None:
    settings = recipe.train
    if settings.threshold_folds == 1 or settings.threshold_folds < 0:
        raise RecipeError(
            f"[train] threshold_folds is {settings.threshold_folds}: 0, or 2 and more"
        )
    if not 0 < settings.validation_fraction < 1:
        raise RecipeError(
            f"[train] validation_fraction is {settings.validation_fraction:g}: between 0 and 1"
        )
    if recipe.threads <= 0:
        raise RecipeError(f"threads is {recipe.threads}: it must be positive")


def _split(
    data: RecordingSet, recipe: Recipe, parent: Checkpoint | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(training, validation) subjects, sorted: a parent's weights have seen all but its own."""
    if parent is None:
        return split_by_subject(data, recipe.train.validation_fraction, recipe.seed)
    validation = parent.trained.validation_subjects
    return tuple(sorted(set(subject_labels(data)) - validation)), tuple(sorted(validation))
