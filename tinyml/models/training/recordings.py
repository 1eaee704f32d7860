"""Training: a recipe and a set of recordings in, one checkpoint or cross-validation out.

Windows make a recording and recordings a person by the `Decision`. Statistics come from
the training persons alone, thresholds from inner folds of them. The state of a run lies
beside its results and goes when they are whole: stopped at any time, the same call
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
from tinyml.core.decision import Decision, Floats, of_recordings
from tinyml.core.errors import CheckpointError, RecipeError
from tinyml.core.files import canonical_json, write_json
from tinyml.core.recipe import Recipe
from tinyml.core.spec import ModelEntry
from tinyml.models.data.recordings import (
    RecordingSet,
    folds_by_person,
    person_labels,
    split_by_person,
)
from tinyml.models.training.examples import compute_examples
from tinyml.models.training.metrics import label_metrics, person_metrics
from tinyml.models.training.optimize import check_train
from tinyml.models.training.persons import Run, check_truths
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
    """Train one model on a split by person; write ``checkpoint.safetensors`` and ``curve.json``.

    Continues a run that was stopped; a finished one is returned as it is. Raises
    `RecipeError`, `DataError`, `CheckpointError` when ``out`` holds another run's files,
    `UsageError` when another process works there.

    Without a ``procedure`` every weight is trained. ``parent`` is the trained model that a
    procedure begins with. It holds out whom its
    parent held out, be that a fold; its thresholds stay, since its weights have seen the persons of
    every inner fold.
    """
    decision = decision_of(entry, recipe, data)
    check_teacher(recipe, parent)
    with owned_folder(out), deterministic(recipe.threads):
        done = finished(out, recipe, data.sha256, report, parent)
        if done is not None:
            return done
        run = _open(entry, recipe, decision, data, out / STATE, FINAL, report, parent, procedure)
        training, validation = _split(run.examples.data, recipe, parent)
        check_truths(run.truths, decision.labels, training)
        if parent is None:
            decision = run.decide("", "", training)
        else:
            decision = replace(decision, thresholds=of_recordings(parent.decision).thresholds)
        module = run.fit_part(FINAL, "training", training, validation)
        answers = run.examples.answers(module, decision, validation)
        saved = _checkpoint(run, module, decision, training, validation, answers, parent)
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
    """Answer every person by a model that has not seen them; write ``folds.json``.

    The models stay beside it: ``fold-1.safetensors`` and so on (`fold_file`).
    Returns JSON values: metrics ``pooled`` over all persons, each judged with the
    thresholds chosen inside the folds that they are not in, ``folds`` the same for each,
    and ``persons``. Continues, and raises, like `train`.
    """
    decision = decision_of(entry, recipe, data)
    job = f"{folds} folds"
    with owned_folder(out), deterministic(recipe.threads):
        done = _finished_folds(out, recipe, data, folds, report)
        if done is not None:
            return done
        path = out / f"folds-{STATE}"
        run = _open(entry, recipe, decision, data, path, job, report, procedure=procedure)
        groups = folds_by_person(run.examples.data, folds, recipe.seed)
        rows, persons = [], {}
        for number, held_out in enumerate(groups, 1):
            row, own = _fold(run, number, groups, held_out)
            rows.append(row)
            persons.update(own)
        result = {
            "recipe": json.loads(canonical_json(recipe.to_json())),
            "model": entry.name,
            **_data_facts(run),
            "pooled": _pooled(decision.labels, list(persons.values())),
            "folds": rows,
            "persons": persons,
        }
        write_json(out / FOLDS, result)
        run.path.unlink()
        return result


def decision_of(entry: ModelEntry, recipe: Recipe, data: RecordingSet) -> Decision:
    """The model's decision with the set's labels and what the recipe may change of it.

    Raises `RecipeError` for a window that is not the model's, and for values of [train]
    that cannot be used.
    """
    _check_split(recipe)
    check_train(recipe.train, len(data.labels))
    own, wanted = of_recordings(entry.decision), recipe.decision
    window_s = own.window / own.rate_hz if own.rate_hz else 0.0
    if wanted.window_s and wanted.window_s != window_s:
        takes = "the whole recording" if own.whole else f"{window_s:g} s"
        raise RecipeError(
            f"[decision] window_s is {wanted.window_s:g}, '{entry.name}' takes {takes}",
            hint="leave window_s out: the window belongs to the model",
        )
    if wanted.hop_s and (own.whole or wanted.hop_s < 0):
        raise RecipeError(
            f"[decision] hop_s is {wanted.hop_s:g}: '{entry.name}' takes "
            + ("the whole recording at once" if own.whole else "a positive one")
        )
    if wanted.aggregation not in ("mean", "max"):
        raise RecipeError(f"[decision] aggregation '{wanted.aggregation}' is neither mean nor max")
    hop = max(1, round(wanted.hop_s * own.rate_hz)) if wanted.hop_s else own.hop
    aggregation: Literal["mean", "max"] = "max" if wanted.aggregation == "max" else "mean"
    return replace(own, labels=data.labels, hop=hop, aggregation=aggregation, thresholds=())


def _check_split(recipe: Recipe) -> None:
    asked = recipe.train
    if asked.threshold_folds == 1 or asked.threshold_folds < 0:
        raise RecipeError(f"[train] threshold_folds is {asked.threshold_folds}: 0, or 2 and more")
    if not 0 < asked.validation_fraction < 1:
        raise RecipeError(
            f"[train] validation_fraction is {asked.validation_fraction:g}: between 0 and 1"
        )
    if recipe.threads <= 0:
        raise RecipeError(f"threads is {recipe.threads}: it must be positive")


def _split(
    data: RecordingSet, recipe: Recipe, parent: Checkpoint | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(training, validation) persons, sorted: a parent's weights have seen all but its own."""
    if parent is None:
        return split_by_person(data, recipe.train.validation_fraction, recipe.seed)
    held_out = set(parent.facts["split"]["validation"])
    return tuple(sorted(set(person_labels(data)) - held_out)), tuple(sorted(held_out))


def _finished_folds(
    out: Path, recipe: Recipe, data: RecordingSet, folds: int, report: Report
) -> dict[str, Any] | None:
    """The cross-validation that ``out`` holds already; `CheckpointError` for another run's."""
    if not (out / FOLDS).is_file():
        return None
    found: dict[str, Any] = json.loads((out / FOLDS).read_text(encoding="utf-8"))
    same = {
        "recipe": canonical_json(found["recipe"]) == canonical_json(recipe.to_json()),
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
    decision: Decision,
    data: RecordingSet,
    path: Path,
    job: str,
    report: Report,
    parent: Checkpoint | None = None,
    procedure: Procedure | None = None,
) -> Run:
    """Read or begin the state, and compute the features."""
    state = open_state(path, job_of(job, parent), recipe, data.sha256, report)
    fixed = new_module(entry, recipe, len(decision.labels), "front end")
    examples = compute_examples(fixed, decision, data, report)
    for text in examples.warnings:
        report({"event": "warning", "text": f"warning: {text}"})
    truths = person_labels(data)
    return Run(
        entry=entry,
        recipe=recipe,
        decision=decision,
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
    run: Run, number: int, groups: Sequence[Sequence[str]], held_out: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One outer fold: its metrics, and what was said of each person held out.

    Its model stays, as a checkpoint whose validation persons are those held out.
    """
    training = sorted(person for group in groups if group is not held_out for person in group)
    check_truths(run.truths, run.decision.labels, training)
    part, title = f"fold {number}", f"fold {number}/{len(groups)}"
    decision = run.decide(f"{part} ", f"{title} ", training)
    path = run.path.parent / fold_file(number)
    if not path.is_file():
        run.state.finished.pop(part, None)

    def keep(module: Any, answers: Floats) -> None:
        saved = _checkpoint(run, module, decision, training, held_out, answers)
        replace(saved, facts={**saved.facts, "curves": _curves(run, part)}).save(path)

    found = run.held_out(part, title, training, held_out, keep)
    metrics = person_metrics(decision, run.truths, found)
    persons = {
        person: {
            "fold": number,
            "label": run.truths[person],
            "answer": decision.label(probabilities),
            "probabilities": [float(p) for p in probabilities],
        }
        for person, probabilities in found.items()
    }
    return {"thresholds": list(decision.thresholds), **metrics}, persons


def _curves(run: Run, part: str) -> dict[str, Any]:
    """Those of ``part`` and of what it consists of, whatever else the run has trained so far."""
    below = (f"{part} ", f"{part}/")
    return {n: rows for n, rows in run.state.curves.items() if n == part or n.startswith(below)}


def _pooled(labels: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return label_metrics(
        labels,
        truths=[row["label"] for row in rows],
        answers=[row["answer"] for row in rows],
        worst=[row["probabilities"][0] for row in rows],
    )


def _checkpoint(
    run: Run,
    module: nn.Module,
    decision: Decision,
    training: Sequence[str],
    validation: Sequence[str],
    answers: Floats,
    parent: Checkpoint | None = None,
) -> Checkpoint:
    """``module`` as a file; ``answers`` [recordings, classes] are about ``validation``."""
    found = run.examples.of_persons(decision, validation, answers)
    metrics = person_metrics(decision, run.truths, found)
    return Checkpoint(
        model=run.entry.name,
        weights={name: value.numpy() for name, value in module.state_dict().items()},
        signature=run.entry.signature(len(decision.labels)),
        decision=decision,
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
