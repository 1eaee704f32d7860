"""Captured program -> model files, one child process a format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tinyml.core.bundle import ModelFile
from tinyml.core.errors import ExportError, TinymlError, made_by_us
from tinyml.core.events import Message, Report
from tinyml.core.export_settings import OFF
from tinyml.core.files import sha256
from tinyml.core.plan_record import PlanRecord
from tinyml.core.subprocesses import Child
from tinyml.core.typed_json import read_json
from tinyml.pipeline.formats import named
from tinyml.pipeline.model_sources import capture, captured
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.steps.export_plan import ExportPlan
from tinyml.pipeline.steps.locate_failure import locate_conversion_failure
from tinyml.pipeline.steps.sparse_safety import why_unsafe


def write_files(
    plan: ExportPlan, work: Workspace, draft: Path, report: Report
) -> tuple[ModelFile, ...]:
    report(Message(f"converting to {' and '.join(plan.formats)}"))
    names = file_names(plan)
    writers = [
        conversion_child(
            named(fmt).writer,
            _writer_arguments(plan, fmt, draft / name, work),
            work,
        )
        for fmt, name in names.items()
    ]
    try:
        run_children(plan, writers)
    except ExportError as error:
        located = _located(error, plan, work)
        if located is error:
            raise
        raise located from error
    if plan.settings.sparse != OFF and not plan.traits.planned:
        for writer, (fmt, name) in zip(writers, names.items(), strict=True):
            if named(fmt).stores_sparse:
                store_safely(plan, writer, draft / name, report)
    return tuple(written_file(plan, fmt, draft / name, work) for fmt, name in names.items())


def write_floats(plan: ExportPlan, work: Workspace, report: Report) -> list[Path]:
    """Float32 files in ``work`` that a plan is to be performed on, their facts with them."""
    models = write_files(plan, work, work.folder, report)
    for fmt in plan.formats:
        work.keep_float_facts(fmt)
    return [work.folder / model.path for model in models]


def store_safely(plan: ExportPlan, writer: Child, path: Path, report: Report) -> None:
    """``writer`` again, without sparse storage, where a board would compute ``path`` wrongly."""
    if why := why_unsafe(path):
        report(Message(why))
        run_children(plan, [replace(writer, arguments=(*writer.arguments, "--dense"))])


def file_names(plan: ExportPlan) -> dict[str, str]:
    return {fmt: f"{plan.source.name}-{plan.precision}.{fmt}" for fmt in plan.formats}


def written_file(plan: ExportPlan, fmt: str, path: Path, work: Workspace) -> ModelFile:
    written = work.load_facts(fmt)
    planned = work.plan(fmt)
    shared = work.load_capture_record().passes
    return ModelFile(
        path=path.name,
        sha256=sha256(path),
        format=fmt,
        precision=plan.precision,
        passes={**shared, **written.passes},
        stages=written.stages,
        layouts=written.layouts,
        minimum_runtime=written.minimum_runtime,
        plan=read_json(PlanRecord, planned) if planned.exists() else None,
        note=plan.traits.notes.get(fmt, ""),
        instrumented=written.instrumented,
        instrumented_note=written.instrumented_note,
        quant_params=written.quant_params,
        modules=written.modules,
    )


def conversion_child(module: str, arguments: Sequence[Path | str], work: Workspace) -> Child:
    name = captured.LOG if module == capture.__name__ else "-".join(module.split(".")[-2:])
    return Child(module, tuple(str(argument) for argument in arguments), work.log(name))


def run_alone(plan: ExportPlan, work: Workspace, module: str, arguments: list[str]) -> None:
    """In a process of its own: for a user's code."""
    plan.worker.run_apart(
        conversion_child(module, arguments, work),
        plan.settings.timeout_s,
        imports="tinyml.pipeline.model_sources.capture_imports",
        meanwhile=[named(fmt).writer for fmt in plan.formats],
    )


def run_child(plan: ExportPlan, work: Workspace, module: str, arguments: list[str]) -> None:
    """A step in the export's worker that may read what a user gave."""
    plan.worker.run([conversion_child(module, arguments, work)], plan.settings.timeout_s)


def run_children(plan: ExportPlan, children: Sequence[Child]) -> None:
    """Steps that read our own files alone, one after another, within the job's time and memory."""
    with made_by_us("the export's own files"):
        plan.worker.run(children, plan.settings.timeout_s)


def _writer_arguments(plan: ExportPlan, fmt: str, out: Path, work: Workspace) -> list[Path | str]:
    arguments: list[Path | str] = [work.program, work.names, out, work.facts(fmt)]
    if plan.traits.half:
        arguments += ["--instrumented", work.float_instrumented(fmt)]
    elif not plan.traits.planned:
        arguments += ["--instrumented", work.instrumented(fmt)]
    if plan.settings.sparse == OFF or plan.traits.planned:
        arguments += ["--dense"]
    return arguments


def _located(error: ExportError, plan: ExportPlan, work: Workspace) -> TinymlError:
    """The writer's ``error`` with the smallest part of the program that causes it."""
    failed = [fmt for fmt in plan.formats if named(fmt).writer == error.child]
    if not failed or error.located:
        return error
    return locate_conversion_failure(
        error,
        failed[0],
        work,
        budget_s=plan.settings.timeout_s,
        memory_mb=plan.memory_mb,
    )
