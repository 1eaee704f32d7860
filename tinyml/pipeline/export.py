"""A model in, a checked bundle out: capture, convert, compare, write.

Everything that can be refused is refused before anything is run. The bundle appears by
one rename, after parity; out of tolerance there is none. The ways in differ only in their
`Source`: a checkpoint, a registered name, a user's factory, a module in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from tinyml.core.bundle import REFERENCE, Bundle, ModelFile, Parity
from tinyml.core.bundle_folder import check_outside, foreign_files
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import (
    ExportError,
    InternalError,
    MachineError,
    TinymlError,
    ValidationError,
    machine_errors,
    made_by_us,
)
from tinyml.core.events import Message, Report
from tinyml.core.export_job import ExportJob
from tinyml.core.export_settings import ExportSettings
from tinyml.core.folders import check_new, new_folder
from tinyml.core.scratch import keep, scratch
from tinyml.core.target import find_target
from tinyml.core.typed_json import to_json
from tinyml.core.worker import Worker
from tinyml.export import parity
from tinyml.pipeline import inspect_sparse
from tinyml.pipeline.formats import by_runtime
from tinyml.pipeline.model_sources.check_model import check_kept
from tinyml.pipeline.model_sources.choose import source_of
from tinyml.pipeline.model_sources.source import Source
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.engines import joining
from tinyml.pipeline.outputs.optional_engines import join_optional
from tinyml.pipeline.quantization.draw import draw
from tinyml.pipeline.quantization.write_quantized import (
    Written,
    check_front_end,
    check_io,
    check_states,
    write_quantized,
)
from tinyml.pipeline.steps import assemble, equalize
from tinyml.pipeline.steps.check_files import check_files
from tinyml.pipeline.steps.check_memory import check_memory
from tinyml.pipeline.steps.check_runtimes import check_runtimes
from tinyml.pipeline.steps.delegation import delegation_lines, of_models, require_all
from tinyml.pipeline.steps.delegation import report as delegation_report
from tinyml.pipeline.steps.export_plan import ExportPlan, check_settings, checked
from tinyml.pipeline.steps.float_share import with_float_share
from tinyml.pipeline.steps.found_recipe import save_found
from tinyml.pipeline.steps.keep import SCRIPT, keep_failed
from tinyml.pipeline.steps.lint import lint_lines, lint_models
from tinyml.pipeline.steps.streaming import export_parts
from tinyml.pipeline.steps.write_files import run_alone, run_child, write_files
from tinyml.pipeline.steps.write_half import write_half


def export(job: ExportJob, report: Report) -> Bundle:
    """Make the bundle at ``job.out``.

    Raises `UsageError`, `InputError` or `MissingExtraError` before any work;
    `ExportError` when a converter refuses the model; `ValidationError` out of tolerance.
    """
    find_target(job.target)
    _check_folders(job)

    def check(settings: ExportSettings, saved: Checkpoint | None) -> None:
        check_settings(job, settings, saved)

    source, settings = source_of(job, check)
    return bundle_from(job, source, settings, report)


def bundle_from(
    job: ExportJob,
    source: Source,
    settings: ExportSettings,
    report: Report,
    worker: Worker | None = None,
) -> Bundle:
    """`export` of whatever ``source`` brings in; ``worker``: one that is used before and after."""
    _check_folders(job)
    plan = checked(job, source, settings)
    if worker is not None:
        plan = replace(plan, worker=worker)
    if plan.traits.quantized:
        _check_known(source, plan.settings)
    making = new_folder(job.out, force=bool(job.force), foreign=foreign_files)
    with making as draft, _scratch() as work, nullcontext() if worker else plan.worker:
        run = run_alone if source.runs_user_code else run_child
        exported = source.capture(work, partial(run, plan, work), report)
        check_memory(plan, work)
        if plan.settings.equalize:
            report(Message("equalizing the channels of consecutive layers"))
            run_child(plan, work, equalize.__name__, [str(work.folder)])
            if not equalize.equalized(work):
                report(Message(equalize.NOTHING))
        if not plan.traits.quantized:
            write = write_half if plan.traits.half else write_files
            models = write(plan, work, draft, report)
            made = Written(models, check_files(plan, exported, models, draft, work, report))
        else:
            made = write_quantized(plan, exported, work, draft, report)
        with made_by_us(f"the files of {job.out.name}"):
            findings = lint_models(draft, made.models, plan.target, made.findings)
            made = replace(made, models=with_float_share(draft, made.models))
            taken = of_models(draft, made.models)
        with machine_errors(f"writing {job.out.name}", draft):
            draw(made, draft, report)
        old = check_runtimes(draft, made.models, plan.target)
        lines = (*old, *lint_lines(findings), *delegation_lines(taken))
        _gate(plan, made.parity, made.models, draft, work, lines)
        known = reference.load(draft / REFERENCE)
        names = joining(plan.target)
        rows, refused = join_optional(draft, made.models, names, known, exported.stages, report)
        made = replace(made, parity=replace(made.parity, stages=(*made.parity.stages, *rows)))
        findings = {path: (*own, *refused.get(path, ())) for path, own in findings.items()}
        for line in (*lines, *lint_lines(refused)):
            report(Message(line))
        if plan.settings.require_delegate:
            require_all(taken)
        delegation = {path: delegation_report(own) for path, own in taken.items()}
        sparse = inspect_sparse.of_models(draft, made.models, plan.target)
        streaming = export_parts(plan, draft, made.kept, bundle_from, report)
        facts = replace(
            exported.facts,
            lint=findings,
            delegation=delegation,
            classes=made.classes or None,
            sensitivity=made.sensitivities or None,
            sparse=to_json(sparse) or None,
            streaming=streaming,
        )
        with machine_errors(f"writing {job.out.name}", draft):
            bundle = assemble.assemble(
                draft, exported, plan.target.name, made.models, made.parity, facts
            )
    if plan.settings.auto_precision:
        found = save_found(plan, made.kept)
        report(Message(f"the recipe of the same export, without the search: {found}"))
    return replace(bundle, folder=job.out)


def _check_known(source: Source, settings: ExportSettings) -> None:
    """What `write_quantized` would refuse, where it is known before the capture."""
    if (known := source.known()) is None:
        check_front_end(settings, source.name, None)  # only models of ours declare one
        check_states(settings, source.name, has_states=bool(settings.states))
        return
    check_io(settings, known)
    check_kept(settings.keep_float, known.stages)


def _check_folders(job: ExportJob) -> None:
    """`UsageError` for a folder that cannot be made."""
    check_outside(job.out)
    check_outside(job.keep_failed)
    check_new(job.out, force=bool(job.force), foreign=foreign_files)
    if job.keep_failed is not None:
        check_new(job.keep_failed)


@contextlib.contextmanager
def _scratch() -> Iterator[Workspace]:
    """A folder for what lies between the steps; after a failed conversion its logs stay."""
    with scratch("export") as folder:
        work = Workspace(folder)
        try:
            yield work
        except (ExportError, MachineError, InternalError) as error:
            told = error.message if isinstance(error, InternalError) else error.hint
            if str(work.logs) in told:
                keep(folder, work.logs.name)
            raise


def _gate(
    plan: ExportPlan,
    proof: Parity,
    models: tuple[ModelFile, ...],
    draft: Path,
    work: Workspace,
    lines: tuple[str, ...],
) -> None:
    """Raise the verdict where the files fail; ``lines`` about the files come behind it."""
    try:
        parity.gate(proof, plan.accepted_loss, plan.remedies, by_runtime())
    except ValidationError as error:
        kept = plan.job.keep_failed
        how = "`keep_failed=FOLDER` leaves a reproduction and a picture"
        if kept is not None:
            how = f"python {kept / SCRIPT} shows it again"
            try:
                with machine_errors("keeping the failed export", kept.parent):
                    keep_failed(kept, proof, models, draft, work)
            except TinymlError as failed:  # the verdict is what was asked for
                how = f"its files could not be kept: {failed.message}"
        verdict = ValidationError(error.message, hint=f"{error.hint}; {how}")
        verdict.details = list(lines)
        raise verdict from error
