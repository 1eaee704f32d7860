"""float16 files: float32 files, a plan of what stays in float32, and the plan performed."""

from __future__ import annotations

from pathlib import Path

from tinyml.core.bundle import ModelFile
from tinyml.core.events import Message, Report
from tinyml.export.quantization.fp16_plan import load as load_plan
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.steps import plan_precision
from tinyml.pipeline.steps.export_plan import ExportPlan
from tinyml.pipeline.steps.perform import perform
from tinyml.pipeline.steps.write_files import run_child, write_floats


def write_half(
    plan: ExportPlan, work: Workspace, draft: Path, report: Report
) -> tuple[ModelFile, ...]:
    """The files in ``draft``; ``work`` holds the captured program and PyTorch's values."""
    floats = write_floats(plan, work, report)
    report(Message(f"choosing what can be {plan.precision}"))
    run_child(plan, work, plan_precision.__name__, [str(work.folder), *plan.formats])
    for fmt in plan.formats:
        for line in load_plan(work.plan(fmt)).lines():
            report(Message(line))
    return perform(plan, floats, work, draft, report)
