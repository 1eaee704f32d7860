"""A run over recordings: opened with its features, and written as a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tinyml.core.checkpoint import Checkpoint
from tinyml.core.events import Report, Warned
from tinyml.core.files import canonical_json
from tinyml.core.processor import Floats
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.models.data.recordings import RecordingSet, subject_labels
from tinyml.models.protocol import ModelEntry
from tinyml.models.training.examples import compute_examples
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
        facts={
            **_facts(run, module, training, validation, metrics, parent),
            "parent_sha256": parent.weights_sha256 if parent else None,
        },
    )


def _facts(
    run: TrainingRun,
    module: nn.Module,
    training: Sequence[str],
    validation: Sequence[str],
    metrics: Mapping[str, Any],
    parent: Checkpoint | None,
) -> dict[str, Any]:
    split = {"training": list(training), "validation": list(validation)}
    return {
        **data_facts(run),
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


def data_facts(run: TrainingRun) -> dict[str, Any]:
    examples = run.examples
    return {
        "data_set": examples.data.name,
        "data_sha256": examples.data.sha256,
        "warnings": [*examples.data.warnings, *examples.warnings],
        "left_out": list(examples.left_out),
        "threads": torch.get_num_threads(),
        "instruction_set": instruction_set(),
    }
