"""Float32 files and their plans -> the files of a bundle, one child process a format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinyml.core.bundle import ModelFile
from tinyml.core.events import Message, Report
from tinyml.core.export_settings import OFF
from tinyml.core.subprocesses import Child
from tinyml.export.facts import facts_of
from tinyml.export.quantization.precision import find_precision
from tinyml.pipeline.formats import format_of
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.steps.export_plan import ExportPlan
from tinyml.pipeline.steps.write_files import (
    conversion_child,
    run_children,
    store_safely,
    written_file,
)

# A larger share of the float32 file than this is not worth the trouble.
WORTH = 0.8


def perform(
    plan: ExportPlan, floats: Sequence[Path], work: Workspace, draft: Path, report: Report
) -> tuple[ModelFile, ...]:
    """Perform the plan of each file of ``floats``, which is in ``work``; the files in ``draft``."""
    report(Message(f"{'casting' if plan.traits.half else 'quantizing'} to {plan.precision}"))
    made = [_child(plan, path, work, draft) for path in floats]
    run_children(plan, made)
    for path, child in zip(floats, made, strict=True):
        if format_of(path).stores_sparse and plan.settings.sparse != OFF:
            store_safely(plan, child, draft / path.name, report)
        line = "" if plan.traits.half else size_line(path, draft / path.name, plan.precision)
        if line:
            report(Message(line))
    return tuple(written_file(plan, format_of(p).name, draft / p.name, work) for p in floats)


def _child(plan: ExportPlan, path: Path, work: Workspace, draft: Path) -> Child:
    """See `tinyml.export.quantization.run_quantizer.run_quantizer`."""
    known = format_of(path)
    fmt = known.name
    given: list[Path | str] = [path, work.plan(fmt), work.float_facts(fmt)]
    given += [draft / path.name, work.facts(fmt)]
    if plan.traits.half:
        shown = work.float_instrumented(fmt)
        given += ["--instrumented", shown, facts_of(shown), work.instrumented(fmt)]
    if plan.settings.sparse == OFF:
        given += ["--dense"]
    return conversion_child(known.quantizer, given, work)


def size_line(before: Path, after: Path, precision: str) -> str:
    """What to say when integers save little of the file; empty otherwise."""
    share = after.stat().st_size / before.stat().st_size
    if share < WORTH:
        return ""
    alone = find_precision(precision).weights_only
    faster = "tinyml bench shows whether it is faster"
    return (
        f"{after.name} takes {share:.0%} of the float32 file: too few weights for quantization to "
        f"make it much smaller; {'it computes in float32, no faster' if alone else faster}"
    )
