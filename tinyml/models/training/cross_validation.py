"""Cross-validation of recordings: every subject is classified by a model that never saw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from tinyml.core.errors import CheckpointError
from tinyml.core.events import Finished, Report
from tinyml.core.files import write_json
from tinyml.core.processor import Floats
from tinyml.core.recipe import Recipe
from tinyml.core.training_record import Epoch, SubjectMetrics
from tinyml.core.typed_json import from_json, load_json, to_json
from tinyml.core.upgrade import upgraded_folds
from tinyml.models.data.recordings import RecordingSet, folds_by_subject
from tinyml.models.protocol import ModelEntry
from tinyml.models.training.metrics import label_metrics, subject_metrics
from tinyml.models.training.parts import TrainingRun, check_truths
from tinyml.models.training.procedure import Procedure
from tinyml.models.training.recording_run import open_run, to_checkpoint, warnings_of
from tinyml.models.training.recordings import processor_of
from tinyml.models.training.run import STATE, deterministic, instruction_set, owned_folder

FOLDS = "folds.json"


@dataclass(frozen=True, slots=True)
class Prediction:
    """For one subject: ``label`` is the true one, ``answer`` the predicted one, by index."""

    fold: int
    label: int
    answer: int
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Fold(SubjectMetrics):
    """Metrics of one fold, with the thresholds that were chosen without it."""

    thresholds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What ``folds.json`` holds; ``pooled``: metrics over all subjects."""

    recipe: Recipe
    model: str
    data_set: str
    data_sha256: str
    warnings: tuple[str, ...]
    left_out: tuple[str, ...]
    threads: int
    instruction_set: str
    pooled: SubjectMetrics
    folds: tuple[Fold, ...]
    persons: Mapping[str, Prediction]


def cross_validate(
    entry: ModelEntry,
    recipe: Recipe,
    data: RecordingSet,
    folds: int,
    out: Path,
    report: Report,
    procedure: Procedure | None = None,
) -> CrossValidation:
    """Classify every subject by a model that was not trained on them; write ``folds.json``.

    The models are kept next to it: ``fold-1.safetensors`` and so on (`fold_file`).
    Each subject is judged with the thresholds chosen inside the folds that they are not in.
    Continues, and raises, like `train`.
    """
    processor = processor_of(entry, recipe, data)
    job = f"{folds} folds"
    with owned_folder(out), deterministic(recipe.threads):
        done = _finished_folds(out, recipe, data, folds, report)
        if done is not None:
            return done
        path = out / f"folds-{STATE}"
        run = open_run(entry, recipe, processor, data, path, job, report, procedure=procedure)
        groups = folds_by_subject(run.examples.data, folds, recipe.seed)
        rows: list[Fold] = []
        subjects: dict[str, Prediction] = {}
        for number in range(1, folds + 1):
            row, fold = _fold(run, number, groups)
            rows.append(row)
            subjects.update(fold)
        examples = run.examples
        result = CrossValidation(
            recipe=recipe,
            model=entry.name,
            data_set=examples.data.name,
            data_sha256=examples.data.sha256,
            warnings=warnings_of(examples),
            left_out=tuple(examples.left_out),
            threads=torch.get_num_threads(),
            instruction_set=instruction_set(),
            pooled=_pooled(processor.labels, list(subjects.values())),
            folds=tuple(rows),
            persons=subjects,
        )
        write_json(out / FOLDS, to_json(result))
        run.path.unlink()
        return result


def fold_file(number: int) -> str:
    """The checkpoint of the model that has not seen fold ``number``, from 1."""
    return f"fold-{number}.safetensors"


def _finished_folds(
    out: Path, recipe: Recipe, data: RecordingSet, folds: int, report: Report
) -> CrossValidation | None:
    """The cross-validation that ``out`` holds already; `CheckpointError` for another run's."""
    if not (out / FOLDS).is_file():
        return None
    what, hint = f"{out / FOLDS}", "choose another --out, or delete that folder"
    values = load_json(out / FOLDS, error=CheckpointError, hint=hint)
    found = from_json(
        CrossValidation, upgraded_folds(values), what=what, error=CheckpointError, hint=hint
    )
    same = {
        "recipe": found.recipe.id == recipe.id,
        "data": found.data_sha256 == data.sha256,
        "number of folds": len(found.folds) == folds,
    }
    if not all(same.values()):
        other = next(name for name, equal in same.items() if not equal)
        raise CheckpointError(f"{what} was made with another {other}", hint=hint)
    (out / f"folds-{STATE}").unlink(missing_ok=True)
    report(Finished(f"{out} is finished already: nothing to train"))
    return found


def _fold(
    run: TrainingRun, number: int, groups: Sequence[Sequence[str]]
) -> tuple[Fold, dict[str, Prediction]]:
    """Outer fold ``number``, from 1: its metrics, and the prediction for each of its subjects.

    Its model stays, as a checkpoint whose validation set is this fold.
    """
    fold = groups[number - 1]
    training = sorted(subject for group in groups if group is not fold for subject in group)
    check_truths(run.truths, run.processor.labels, training)
    part, title = f"fold {number}", f"fold {number}/{len(groups)}"
    processor = run.decide(f"{part} ", f"{title} ", training)
    path = run.path.parent / fold_file(number)
    if not path.is_file():
        run.state.finished.pop(part, None)

    def keep(module: Any, outputs: Floats) -> None:
        saved = to_checkpoint(run, module, processor, training, fold, outputs)
        replace(saved, facts=replace(saved.trained, curves=_curves(run, part))).save(path)

    outputs = run.out_of_fold(part, title, training, fold, keep)
    metrics = subject_metrics(processor, run.truths, outputs)
    subjects = {
        subject: Prediction(
            fold=number,
            label=run.truths[subject],
            answer=processor.postprocess(probabilities),
            probabilities=tuple(float(p) for p in probabilities),
        )
        for subject, probabilities in outputs.items()
    }
    shown = {own.name: getattr(metrics, own.name) for own in fields(metrics)}
    return Fold(**shown, thresholds=processor.thresholds), subjects


def _curves(run: TrainingRun, part: str) -> dict[str, tuple[Epoch, ...]]:
    """Those of ``part`` and of what it consists of, whatever else the run has trained so far."""
    below = (f"{part} ", f"{part}/")
    curves = run.state.curves.items()
    return {n: tuple(rows) for n, rows in curves if n == part or n.startswith(below)}


def _pooled(labels: Sequence[str], rows: Sequence[Prediction]) -> SubjectMetrics:
    return label_metrics(
        labels,
        truths=[row.label for row in rows],
        predictions=[row.answer for row in rows],
        worst=[row.probabilities[0] for row in rows],
    )
