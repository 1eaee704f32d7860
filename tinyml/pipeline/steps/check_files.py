"""Written files -> `Parity`: every stage on every case, and the metric."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from tinyml.core.bundle import REFERENCE, ModelFile, Parity
from tinyml.core.errors import ValidationError
from tinyml.core.events import Report
from tinyml.pipeline.model_sources.source import Accuracy, ExportedModel, RunChild
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.compare_engines import compare_engines
from tinyml.pipeline.outputs.engines import engines
from tinyml.pipeline.steps.export_plan import ExportPlan
from tinyml.pipeline.steps.instrumented import compare_instrumented
from tinyml.pipeline.steps.write_files import run_alone


def check_files(
    plan: ExportPlan,
    exported: ExportedModel,
    models: tuple[ModelFile, ...],
    draft: Path,
    work: Workspace,
    report: Report,
) -> Parity:
    """Raises `ValidationError` for outputs on the data that are not finite where all rows pass."""
    shutil.copy(work.reference, draft)
    expected = reference.load(draft / REFERENCE)
    expected.check(exported.signature, exported.stages, exported.facts.not_judged)
    found = list(engines(draft, models))
    rows = (
        *work.load_capture_record().parity,
        *compare_engines(found, expected, exported.stages, report),
        *compare_instrumented(found, expected, work),
    )
    run: RunChild = partial(run_alone, plan, work)
    try:
        accuracy = plan.source.accuracy(found, work, run, report)
    except ValidationError as error:
        if Parity(rows).passed:
            raise
        accuracy = Accuracy(note=error.message)  # the rows say where it comes from
    return Parity(rows, accuracy.agreements, accuracy.note, accuracy.metrics)
