"""The first child of an export: builds the module, captures it, and writes PyTorch's outputs.

``python -m tinyml.pipeline.model_sources.capture FOLDER``: FOLDER is a `Workspace` with a capture
job. For a model of this package it also holds the checkpoint, the inputs of every parity case and
maybe those of the validation set; for a user's model see `user_capture`. Into it go the program
for the writers, the reference, the record and PyTorch's probabilities.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyml.core.processor import Processor
from tinyml.core.spec import Array, Arrays
from tinyml.models.protocol import StreamingGraph
from tinyml.pipeline.model_sources.captured import capture_or_locate, finish
from tinyml.pipeline.model_sources.workspace import CaptureJob, Workspace
from tinyml.pipeline.outputs.reference import Reference

if TYPE_CHECKING:
    from torch import nn

    from tinyml.export.capture.program import Captured

BATCH = 32


def main(arguments: list[str]) -> None:
    """Do the job in the folder that ``arguments`` name."""
    work = Workspace(Path(arguments[0]))
    job = work.load_capture_job()
    if job.factory:
        from tinyml.pipeline.model_sources.user_capture import capture_factory

        capture_factory(job, work)
    else:
        _capture_trained(job, work)


def _capture_trained(job: CaptureJob, work: Workspace) -> None:
    from tinyml.export.weights import load_weights
    from tinyml.models.training.run import load_module
    from tinyml.pipeline.model_sources.entries import entry_of
    from tinyml.pipeline.model_sources.streaming_part import cases_of, form_of, graph_of

    saved = work.load_checkpoint()
    entry = entry_of(saved)
    if not job.weights:
        module = load_module(entry, saved)
    else:
        module = entry.build(len(saved.processor.labels)).eval()
        load_weights(module, Path(job.weights), job.strip_prefix, entry.rename)
    graph, cases = StreamingGraph(module, saved.signature, entry.stages), work.load_cases()
    if job.part:
        form = form_of(entry, module)
        graph, cases = graph_of(form, job.part), cases_of(form, job.part, cases)
    captured = capture_or_locate(graph.module, graph.signature, graph.stages, work)
    finish(captured, answers(graph.module, captured, graph.stages, cases, work), work)
    if work.evaluation_set.exists():
        work.save_probabilities(_probabilities(module, saved.processor, work.evaluation_set))


def answers(
    module: nn.Module,
    captured: Captured,
    stages: tuple[str, ...],
    inputs: Mapping[str, Arrays],
    work: Workspace,
) -> Reference:
    """PyTorch's stages and outputs for the ``inputs`` of every case; saved in ``work`` too."""
    from tinyml.export.capture.stage_values import eager_values
    from tinyml.export.joined import joined

    values = {
        case: eager_values(module, given, captured.signature, stages)
        for case, given in inputs.items()
    }
    expected = Reference(
        inputs=inputs,
        stages={case: inside for case, (inside, _) in values.items()},
        outputs={case: outputs for case, (_, outputs) in values.items()},
        joined=joined(captured),
    )
    work.save_reference(expected)
    return expected


def _probabilities(module: nn.Module, processor: Processor, evaluation_set: Path) -> Array:
    """[inputs, classes] of the module in eval mode, in batches."""
    from tinyml.models.training.run import classify_windows
    from tinyml.pipeline.outputs.evaluation_set import read_inputs

    answer = classify_windows(module)
    return np.concatenate([answer(part) for part in read_inputs(evaluation_set, processor, BATCH)])


if __name__ == "__main__":
    main(sys.argv[1:])
