"""The first child of an export: builds the module, captures it, and writes PyTorch's outputs.

``python -m tinyml.pipeline.model_sources.capture FOLDER``: FOLDER is a `Workspace` with a capture
job. For a model of this package it also holds the checkpoint, the inputs of every parity case and
maybe those of the validation set; for a user's model see `user_capture`. Into it go the program
for the writers, the reference, the record and PyTorch's probabilities.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyml.core.bundle import StageParity
from tinyml.core.errors import ExportError
from tinyml.core.parts import OUTPUT, STAGE
from tinyml.core.processor import Processor
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.export import parity
from tinyml.pipeline.model_sources.workspace import CaptureJob, CaptureRecord, Workspace
from tinyml.pipeline.outputs.reference import Reference

if TYPE_CHECKING:
    from torch import nn

    from tinyml.export.capture.program import Captured

LOG = "capture"
SEARCH_S = 120.0
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


def capture_or_locate(
    module: nn.Module,
    signature: Signature,
    stages: Sequence[str],
    work: Workspace,
    sample: Arrays | None = None,
) -> Captured:
    """`capture`; where that is refused, the error names the smallest part to blame.

    The search runs the module on ``sample``, else on zeros, and takes `SEARCH_S` at most.
    """
    from tinyml.export.capture.bisect_module import locate_failure
    from tinyml.export.capture.program import capture

    try:
        return capture(module, signature, stages)
    except ExportError as error:
        log = work.log(LOG)
        found = locate_failure(
            module,
            sample or signature,
            error,
            log=log if log.exists() else None,
            budget_s=SEARCH_S,
        )
        if found is error:
            raise
        raise found from error


def _capture_trained(job: CaptureJob, work: Workspace) -> None:
    from tinyml.export.weights import load_weights
    from tinyml.models.training.run import load_module
    from tinyml.pipeline.model_sources.entries import entry_of

    saved = work.load_checkpoint()
    entry = entry_of(saved)
    if not job.weights:
        module = load_module(entry, saved)
    else:
        module = entry.build(len(saved.processor.labels)).eval()
        load_weights(module, Path(job.weights), job.strip_prefix, entry.rename)
    captured = capture_or_locate(module, saved.signature, entry.stages, work)
    finish(captured, answers(module, captured, entry.stages, work), work)
    if work.held_out.exists():
        work.save_probabilities(_probabilities(module, saved.processor, work.held_out))


def finish(captured: Captured, expected: Reference, work: Workspace, **more: Any) -> None:
    """Judge the captured program, rewrite it, judge it again; ``more`` goes into the record."""
    from tinyml.export.rewrites import rewrite

    order = list(captured.stages)
    rows = rows_of("captured", captured, expected, order)
    rewritten, counts = rewrite(captured)
    rows += rows_of("rewritten", rewritten, expected, order)
    work.save_program(rewritten)
    work.save_capture_record(CaptureRecord(counts, tuple(rows), **more))


def answers(
    module: nn.Module, captured: Captured, stages: tuple[str, ...], work: Workspace
) -> Reference:
    """PyTorch's stages and outputs for every case in ``work``; saved there too."""
    from tinyml.export.capture.stage_values import eager_values
    from tinyml.export.joined import joined

    inputs = work.load_cases()
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


def rows_of(
    engine: str, captured: Captured, expected: Reference, stages: list[str]
) -> list[StageParity]:
    """Every stage and output of the program on every case against ``expected``."""
    from tinyml.export.capture.stage_values import captured_values

    rows: list[StageParity] = []
    parts, output_parts = expected.parts(STAGE), expected.parts(OUTPUT)
    for case, inputs in expected.inputs.items():
        inside, outputs = captured_values(captured, inputs)
        kept = [stage for stage in stages if stage in expected.stages[case]]
        rows += parity.compare(engine, case, expected.stages[case], inside, kept, parts=parts)
        wanted = expected.outputs[case]
        rows += parity.compare(engine, case, wanted, outputs, list(wanted), parts=output_parts)
    return rows


def _probabilities(module: nn.Module, processor: Processor, held_out: Path) -> Array:
    """[inputs, classes] of the module in eval mode, in batches."""
    from tinyml.models.training.run import classify_windows
    from tinyml.pipeline.outputs.held_out import read_inputs

    answer = classify_windows(module)
    return np.concatenate([answer(part) for part in read_inputs(held_out, processor, BATCH)])


if __name__ == "__main__":
    main(sys.argv[1:])
