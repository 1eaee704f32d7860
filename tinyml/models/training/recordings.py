"""Training: a recipe and a set of recordings in, one checkpoint or cross-validation out.

Windows make a recording and recordings a subject by the `RecordingProcessor`. Statistics come from
the training subjects alone, thresholds from inner folds of them. The state of a run lies
next to its results and is deleted when they are complete: stopped at any time, the same call
continues and writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from tinyml.core import checkpoint
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import CheckpointError, RecipeError
from tinyml.core.files import canonical_json, write_json
from tinyml.core.processor import Floats
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import RecordingProcessor, recording_processor
from tinyml.core.typed_json import to_json
from tinyml.models.data.recordings import (
    RecordingSet,
    folds_by_subject,
    split_by_subject,
    subject_labels,
)
from tinyml.models.protocol import ModelEntry
from tinyml.models.training.examples import compute_examples
from tinyml.models.training.metrics import label_metrics, subject_metrics
from tinyml.models.training.optimize import check_train
from tinyml.models.training.parts import Run, check_truths
from tinyml.models.training.procedure import Procedure, procedure_of
from tinyml.models.training.run import (
    STATE,
    check_teacher,
    deterministic,
    finished,
    instruction_set,
    job_of,
    new_module,
    open_state,
    owned_folder,
    teacher_of,
)

Report = Callable[[Mapping[str, Any]], None]

CURVE = "curve.json"
FOLDS = "folds.json"
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
        run = _open(entry, recipe, processor, data, out / STATE, FINAL, report, parent, procedure)
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
        saved = _checkpoint(run, module, processor, training, validation, outputs, parent)
        write_json(out / CURVE, saved.facts["curve"])
        saved.save(out / checkpoint.FILE)
        run.path.unlink()
        return saved


def cross_validate(
    entry: ModelEntry,
    recipe: Recipe,
    data: RecordingSet,
    folds: int,
    out: Path,
    report: Report,
    procedure: Procedure | None = None,
) -> dict[str, Any]:
    """Classify every subject by a model that was not trained on them; write ``folds.json``.

    The models are kept next to it: ``fold-1.safetensors`` and so on (`fold_file`).
    Returns JSON values: metrics ``pooled`` over all subjects, each judged with the
    thresholds chosen inside the folds that they are not in, ``folds`` the same for each,
    and ``persons``. Continues, and raises, like `train`.
    """
    processor = processor_of(entry, recipe, data)
    job = f"{folds} folds"
    with owned_folder(out), deterministic(recipe.threads):
        done = _finished_folds(out, recipe, data, folds, report)
        if done is not None:
            return done
        path = out / f"folds-{STATE}"
        run = _open(entry, recipe, processor, data, path, job, report, procedure=procedure)
        groups = folds_by_subject(run.examples.data, folds, recipe.seed)
        rows, subjects = [], {}
        for number in range(1, folds + 1):
            row, fold = _fold(run, number, groups)
            rows.append(row)
            subjects.update(fold)
        result = {
            "recipe": json.loads(canonical_json(to_json(recipe))),
            "model": entry.name,
            **_data_facts(run),
            "pooled": _pooled(processor.labels, list(subjects.values())),
            "folds": rows,
            "persons": subjects,
        }
        write_json(out / FOLDS, result)
        run.path.unlink()
        return result


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
    validation = set(parent.facts["split"]["validation"])
    return tuple(sorted(set(subject_labels(data)) - validation)), tuple(sorted(validation))


def _finished_folds(
    out: Path, recipe: Recipe, data: RecordingSet, folds: int, report: Report
) -> dict[str, Any] | None:
    """The cross-validation that ``out`` holds already; `CheckpointError` for another run's."""
    if not (out / FOLDS).is_file():
        return None
    found: dict[str, Any] = json.loads((out / FOLDS).read_text(encoding="utf-8"))
    same = {
        "recipe": canonical_json(found["recipe"]) == canonical_json(to_json(recipe)),
        "data": found["data_sha256"] == data.sha256,
        "number of folds": len(found["folds"]) == folds,
    }
    if not all(same.values()):
        what = next(name for name, equal in same.items() if not equal)
        raise CheckpointError(
            f"{out / FOLDS} was made with another {what}",
            hint="choose another --out, or delete that folder",
        )
    (out / f"folds-{STATE}").unlink(missing_ok=True)
    report({"event": "finished", "text": f"{out} is finished already: nothing to train"})
    return found


def _open(
    entry: ModelEntry,
    recipe: Recipe,
    processor: RecordingProcessor,
    data: RecordingSet,
    path: Path,
    job: str,
    report: Report,
    parent: Checkpoint | None = None,
    procedure: Procedure | None = None,
) -> Run:
    """Read or begin the state, and compute the features."""
    state = open_state(path, job_of(job, parent), recipe, data.sha256, report)
    fixed = new_module(entry, recipe, len(processor.labels), "front end")
    examples = compute_examples(fixed, processor, data, report)
    for text in examples.warnings:
        report({"event": "warning", "text": f"warning: {text}"})
    truths = subject_labels(data)
    return Run(
        entry=entry,
        recipe=recipe,
        processor=processor,
        examples=examples,
        truths=truths,
        state=state,
        path=path,
        report=report,
        procedure=procedure_of(recipe, procedure),
        parent=parent.weights if parent else None,
        teacher=teacher_of(entry, recipe, parent),
    )


def fold_file(number: int) -> str:
    """The checkpoint of the model that has not seen fold ``number``, from 1."""
    return f"fold-{number}.safetensors"


def _fold(
    run: Run, number: int, groups: Sequence[Sequence[str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
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
        saved = _checkpoint(run, module, processor, training, fold, outputs)
        replace(saved, facts={**saved.facts, "curves": _curves(run, part)}).save(path)

    outputs = run.out_of_fold(part, title, training, fold, keep)
    metrics = subject_metrics(processor, run.truths, outputs)
    subjects = {
        subject: {
            "fold": number,
            "label": run.truths[subject],
            "answer": processor.postprocess(probabilities),
            "probabilities": [float(p) for p in probabilities],
        }
        for subject, probabilities in outputs.items()
    }
    return {"thresholds": list(processor.thresholds), **metrics}, subjects


def _curves(run: Run, part: str) -> dict[str, Any]:
    """Those of ``part`` and of what it consists of, whatever else the run has trained so far."""
    below = (f"{part} ", f"{part}/")
    return {n: rows for n, rows in run.state.curves.items() if n == part or n.startswith(below)}


def _pooled(labels: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return label_metrics(
        labels,
        truths=[row["label"] for row in rows],
        predictions=[row["answer"] for row in rows],
        worst=[row["probabilities"][0] for row in rows],
    )


def _checkpoint(
    run: Run,
    module: nn.Module,
    processor: RecordingProcessor,
    training: Sequence[str],
    validation: Sequence[str],
    outputs: Floats,
    parent: Checkpoint | None = None,
) -> Checkpoint:
    """``module`` as a file; ``outputs`` [recordings, classes] are those of ``validation``."""
    by_subject = run.examples.of_subjects(processor, validation, outputs)
    metrics = subject_metrics(processor, run.truths, by_subject)
    return Checkpoint(
        model=run.entry.name,
        weights={name: value.numpy() for name, value in module.state_dict().items()},
        signature=run.entry.signature(len(processor.labels)),
        processor=processor,
        recipe=run.recipe,
        facts={
            **_facts(run, module, training, validation, metrics, parent),
            "parent_sha256": parent.weights_sha256 if parent else None,
        },
    )


def _facts(
    run: Run,
    module: nn.Module,
    training: Sequence[str],
    validation: Sequence[str],
    metrics: Mapping[str, Any],
    parent: Checkpoint | None,
) -> dict[str, Any]:
    split = {"training": list(training), "validation": list(validation)}
    return {
        **_data_facts(run),
        "split": {
            "validation": split["validation"],
            "sha256": hashlib.sha256(canonical_json(split).encode()).hexdigest(),
        },
        "validation": dict(metrics),
        "curve": run.state.curves[run.state.part],
        "curves": run.state.curves,
        "pruning": run.procedure.facts(module, parent),
        "parameters": sum(p.numel() for p in module.parameters()),
    }


def _data_facts(run: Run) -> dict[str, Any]:
    examples = run.examples
    return {
        "data_set": examples.data.name,
        "data_sha256": examples.data.sha256,
        "warnings": [*examples.data.warnings, *examples.warnings],
        "left_out": list(examples.left_out),
        "threads": torch.get_num_threads(),
        "instruction_set": instruction_set(),
    }
