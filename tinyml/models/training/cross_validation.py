"""Cross-validation of recordings: every subject is classified by a model that never saw them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinyml.core.errors import CheckpointError
from tinyml.core.events import Finished, Report
from tinyml.core.files import canonical_json, write_json
from tinyml.core.processor import Floats
from tinyml.core.recipe import Recipe
from tinyml.core.typed_json import from_json, to_json
from tinyml.models.data.recordings import RecordingSet, folds_by_subject
from tinyml.models.protocol import ModelEntry
from tinyml.models.training.metrics import label_metrics, subject_metrics
from tinyml.models.training.parts import TrainingRun, check_truths
from tinyml.models.training.procedure import Procedure
from tinyml.models.training.recording_run import data_facts, open_run, to_checkpoint
from tinyml.models.training.recordings import processor_of
from tinyml.models.training.run import STATE, deterministic, owned_folder

FOLDS = "folds.json"


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
        run = open_run(entry, recipe, processor, data, path, job, report, procedure=procedure)
        groups = folds_by_subject(run.examples.data, folds, recipe.seed)
        rows, subjects = [], {}
        for number in range(1, folds + 1):
            row, fold = _fold(run, number, groups)
            rows.append(row)
            subjects.update(fold)
        result = {
            "recipe": json.loads(canonical_json(to_json(recipe))),
            "model": entry.name,
            **data_facts(run),
            "pooled": _pooled(processor.labels, list(subjects.values())),
            "folds": rows,
            "persons": subjects,
        }
        write_json(out / FOLDS, result)
        run.path.unlink()
        return result


def fold_file(number: int) -> str:
    """The checkpoint of the model that has not seen fold ``number``, from 1."""
    return f"fold-{number}.safetensors"


def _finished_folds(
    out: Path, recipe: Recipe, data: RecordingSet, folds: int, report: Report
) -> dict[str, Any] | None:
    """The cross-validation that ``out`` holds already; `CheckpointError` for another run's."""
    if not (out / FOLDS).is_file():
        return None
    found: dict[str, Any] = json.loads((out / FOLDS).read_text(encoding="utf-8"))
    same = {
        "recipe": from_json(Recipe, found["recipe"], what=f"{out / FOLDS}").id == recipe.id,
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
    report(Finished(f"{out} is finished already: nothing to train"))
    return found


def _fold(
    run: TrainingRun, number: int, groups: Sequence[Sequence[str]]
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
        saved = to_checkpoint(run, module, processor, training, fold, outputs)
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


def _curves(run: TrainingRun, part: str) -> dict[str, Any]:
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
