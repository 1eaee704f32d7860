"""A run over recordings: opened with its features, and written as a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from tinyml.core.checkpoint import Checkpoint
from tinyml.core.events import Report, Warned
from tinyml.core.files import canonical_json
from tinyml.core.processor import Floats
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.training_record import Split, SubjectMetrics, TrainingRecord
from tinyml.models.data.recordings import RecordingSet, subject_labels
from tinyml.models.protocol import ModelEntry
from tinyml.models.training.examples import Examples, compute_examples
from tinyml.models.training.metrics import subject_metrics
from tinyml.models.training.parts import TrainingRun
from tinyml.models.training.procedure import Procedure, procedure_of
from tinyml.models.training.run import instruction_set, job_of, new_module, open_state, teacher_of


def open_run(
    entry: ModelEntry,
    recipe: Recipe,
    processor: RecordingProcessor,
    data: RecordingSet,
    path: Path,
    job: str,
    report: Report,
    parent: Checkpoint | None = None,
    procedure: Procedure | None = None,
) -> TrainingRun:
    """Read or begin the state, and compute the features."""
    state = open_state(path, job_of(job, parent), recipe, data.sha256, report)
    fixed = new_module(entry, recipe, len(processor.labels), "front end")
    examples = compute_examples(fixed, processor, data, report)
    for text in examples.warnings:
        report(Warned(f"warning: {text}"))
    truths = subject_labels(data)
    return TrainingRun(
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


def to_checkpoint(
    run: TrainingRun,
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
        facts=_record(run, module, training, validation, metrics, parent),
    )


def _record(
    run: TrainingRun,
    module: nn.Module,
    training: Sequence[str],
    validation: Sequence[str],
    metrics: SubjectMetrics,
    parent: Checkpoint | None,
) -> TrainingRecord:
    split = {"training": list(training), "validation": list(validation)}
    digest = hashlib.sha256(canonical_json(split).encode()).hexdigest()
    examples, state = run.examples, run.state
    return TrainingRecord(
        data_set=examples.data.name,
        data_sha256=examples.data.sha256,
        warnings=warnings_of(examples),
        left_out=tuple(examples.left_out),
        threads=torch.get_num_threads(),
        instruction_set=instruction_set(),
        split=Split(tuple(validation), digest),
        validation=metrics,
        curve=tuple(state.curves[state.part]),
        curves={part: tuple(rows) for part, rows in state.curves.items()},
        pruning=run.procedure.pruned(module, parent),
        parameters=sum(p.numel() for p in module.parameters()),
        parent_sha256=parent.weights_sha256 if parent else None,
    )


def warnings_of(examples: Examples) -> tuple[str, ...]:
    """Of the data set and of its features."""
    return (*examples.data.warnings, *examples.warnings)
