"""A model in, a proven bundle out: capture, convert, compare, write.

Everything that can be refused is refused before anything is run. The bundle appears by
one rename, after parity; out of tolerance there is none. The doors differ only in their
`Source`: a checkpoint, a registered name, a user's factory, a module in memory.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tinyml import registry
from tinyml.bundle import REFERENCE, Bundle, ModelFile, Parity, StageParity
from tinyml.errors import (
    ExportError,
    MachineError,
    TinymlError,
    UsageError,
    ValidationError,
    machine_errors,
    require,
)
from tinyml.export import blame, convert, facts, harm, parity
from tinyml.export.precision import integers_of
from tinyml.export.precision.plan import load as load_plan
from tinyml.files import new_folder, sha256
from tinyml.pipeline import assemble, capture, explain, plan_precision, reference
from tinyml.pipeline.arrays import read_npz
from tinyml.pipeline.calibration import SAMPLES, Calibration
from tinyml.pipeline.engines import engines
from tinyml.pipeline.engines import require as require_runtime
from tinyml.pipeline.explain import Explained, next_layer, save_samples, settled
from tinyml.pipeline.export_job import ExportJob, source_of
from tinyml.pipeline.keep import SCRIPT, keep_failed
from tinyml.pipeline.lint import lint_lines, lint_models
from tinyml.pipeline.quantize import (
    BY_USER,
    QuantizeJob,
    children,
    float_facts,
    plan_quantized,
    seen,
    size_line,
)
from tinyml.pipeline.source import RunChild, Source, Subject
from tinyml.pipeline.trained import TrainedSource
from tinyml.pipeline.twins import prove_twins, twin_file
from tinyml.pipeline.verify import prove
from tinyml.recipe import ExportRecipe
from tinyml.target import Target, find_target

Report = Callable[[Mapping[str, Any]], None]
SPARSE = ("auto", "off")
EXTRAS = {
    "onnx": (("torch", "torch"), ("onnxscript", "onnxscript"), ("onnx_ir", "onnx-ir")),
    "tflite": (("torch", "torch"), ("litert_torch", "litert-torch")),
}


@dataclass(frozen=True, slots=True)
class _Plan:
    """The job, checked: nothing in it is unknown any more."""

    job: ExportJob
    source: Source
    target: Target
    formats: tuple[str, ...]
    precision: str
    sparse: str
    quantize: QuantizeJob | None = None


def export(job: ExportJob, report: Report) -> Bundle:
    """Make the bundle at ``job.out``.

    Raises `UsageError`, `InputError` or `MissingExtraError` before any work;
    `ExportError` when a converter refuses the model; `ValidationError` out of tolerance.
    """
    find_target(job.target)
    return bundle_from(job, source_of(job), report)


def bundle_from(job: ExportJob, source: Source, report: Report) -> Bundle:
    """`export` of whatever ``source`` brings in."""
    plan = _plan(job, source)
    with new_folder(job.out, force=job.force) as draft, _scratch() as work:
        subject = source.capture(work, partial(_run, plan, work), report)
        _plan_precision(plan, work, report)
        if plan.quantize is None:
            models = _convert(plan, work, draft, report)
            proof = _prove(plan, subject, models, draft, work, report)
        else:
            models, proof = _integers(plan, plan.quantize, subject, work, draft, report)
        findings = lint_models(draft, models, plan.target)
        for line in lint_lines(findings):
            report({"text": line})
        _gate(job, proof, models, draft, work)
        with machine_errors(f"writing {job.out.name}"):
            bundle = assemble.assemble(draft, subject, plan.target.name, models, proof, findings)
    return replace(bundle, folder=job.out)


def _plan(job: ExportJob, source: Source) -> _Plan:
    target = find_target(job.target)
    recipe = source.checkpoint.recipe.export if isinstance(source, TrainedSource) else None
    default = recipe or ExportRecipe()
    wanted = job.formats or default.formats
    for name in wanted:
        if name not in registry.WRITERS:
            raise registry.unknown_name("format", name, registry.WRITERS)
        if name not in target.formats:
            raise UsageError(
                f"no runtime on {target.name} reads {name}",
                hint=f"formats there: {', '.join(target.formats)}",
            )
    precision = job.precision or default.precision
    if precision not in registry.PRECISIONS:
        raise registry.unknown_name("precision", precision, registry.PRECISIONS)
    sparse = job.sparse or default.sparse
    if sparse not in SPARSE:
        raise registry.unknown_name("way to store zeros", sparse, SPARSE)
    for name in wanted:
        for module, package in EXTRAS[name]:
            require(module, package, name)
        require_runtime(registry.load("runtime", registry.RUNTIME_OF_FORMAT[name]))
    formats = tuple(dict.fromkeys(wanted))
    return _Plan(job, source, target, formats, precision, sparse, _quantize_job(job, precision))


def _quantize_job(job: ExportJob, precision: str) -> QuantizeJob | None:
    """`UsageError` for an option of integers that a precision of floats has no use for."""
    given = {
        "--ranges": job.ranges,
        "--calibration": job.calibration,
        "--calibration-samples": job.calibration_samples,
        "--keep-float": job.keep_float,
        "--explain": job.explain,
        "--auto-precision": job.auto_precision,
    }
    if precision not in registry.INTEGER:
        for option, value in given.items():
            if value:
                known = ", ".join(registry.INTEGER)
                raise UsageError(f"{option} is for integers: {known}; this is {precision}")
        return None
    if job.calibration is not None and not job.calibration.is_file():
        raise UsageError(f"no calibration data at {job.calibration}", hint="an .npz of inputs")
    samples = SAMPLES if job.calibration_samples is None else job.calibration_samples
    return QuantizeJob(
        precision,
        job.ranges or "min-max",
        samples,
        job.keep_float,
        job.explain,
        job.max_drop_points if job.auto_precision else None,
    )


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for what lies between the steps; after a failed conversion its logs stay."""
    with machine_errors("making a scratch folder"):
        work = Path(tempfile.mkdtemp(prefix="tinyml-export-"))
    keep_logs = False
    try:
        yield work
    except (ExportError, MachineError) as error:
        keep_logs = str(work / capture.LOGS) in error.hint
        raise
    finally:
        for path in work.iterdir():
            if path.name != capture.LOGS:
                path.unlink()
        if not keep_logs:
            shutil.rmtree(work)


def _plan_precision(plan: _Plan, work: Path, report: Report) -> None:
    if plan.precision in ("fp32", *registry.INTEGER):
        return
    report({"text": f"choosing what can be {plan.precision}"})
    _run(plan, work, plan_precision.__name__, [str(work), plan.precision, *plan.formats])
    for fmt in plan.formats:
        for line in load_plan(plan_precision.plan_file(work, fmt)).lines():
            report({"text": line})


def _convert(plan: _Plan, work: Path, draft: Path, report: Report) -> tuple[ModelFile, ...]:
    report({"text": f"converting to {' and '.join(plan.formats)}"})
    names = _names(plan)
    writers = [
        _child(
            registry.WRITERS[fmt],
            _writer_arguments(plan, fmt, draft / name, work),
            work,
        )
        for fmt, name in names.items()
    ]
    try:
        convert.run_children(writers, timeout_s=plan.job.timeout_s, memory_mb=_memory_mb(plan))
    except ExportError as error:
        blamed = _blamed(error, plan, work)
        if blamed is error:
            raise
        raise blamed from error
    return tuple(_written(plan, fmt, draft / name, work) for fmt, name in names.items())


def _names(plan: _Plan) -> dict[str, str]:
    return {fmt: f"{plan.source.name}-{plan.precision}.{fmt}" for fmt in plan.formats}


def _integers(
    plan: _Plan, job: QuantizeJob, subject: Subject, work: Path, draft: Path, report: Report
) -> tuple[tuple[ModelFile, ...], Parity]:
    """Float32 files in ``work``, looked at on samples, and their proven integer forms.

    With ``max_drop_points`` again and again, one more layer in float32 each time.
    """
    calibration = _calibration(plan, job, subject, report)
    floats = [work / model.path for model in _convert(plan, work, work, report)]
    for path in floats:
        fmt = path.suffix[1:]
        (work / f"{fmt}.json").rename(float_facts(work, fmt))
    ranges = {path: seen(path, job, calibration, report) for path in floats}
    keep = dict.fromkeys(job.keep, BY_USER)
    harms: Mapping[str, Explained] | None = None
    while True:
        for path in floats:
            planned = plan_quantized(path, job, keep, ranges[path], calibration, subject.front_end)
            planned.save(plan_precision.plan_file(work, planned.format))
            for line in planned.lines():
                report({"text": line})
        if harms is None and (job.explain or job.max_drop_points is not None):
            harms = _explain(plan, floats, calibration, subject, work, report)
        models = _perform(plan, floats, work, draft, report)
        proof = _prove(plan, subject, models, draft, work, report)
        more = None
        if job.max_drop_points is not None and not settled(proof, job.max_drop_points):
            more = next_layer(harms or {}, keep, subject.stages)
        if more is None:
            return models, proof
        keep[more] = f"its integers alone cost most of what was left ({job.max_drop_points:g})"
        report({"text": f"{more} stays in float32 from here on"})


def _perform(
    plan: _Plan, floats: Sequence[Path], work: Path, draft: Path, report: Report
) -> tuple[ModelFile, ...]:
    report({"text": f"quantizing to {plan.precision}"})
    made = [_child(*own, work) for own in children(floats, work, draft, sparse=plan.sparse)]
    convert.run_children(made, timeout_s=plan.job.timeout_s, memory_mb=_memory_mb(plan))
    for path in floats:
        if line := size_line(path, draft / path.name):
            report({"text": line})
    return tuple(_written(plan, p.suffix[1:], draft / p.name, work) for p in floats)


def _explain(
    plan: _Plan,
    floats: Sequence[Path],
    calibration: Calibration | None,
    subject: Subject,
    work: Path,
    report: Report,
) -> dict[str, Explained]:
    """Format -> the harm of each layer, told."""
    report({"text": "quantizing each layer alone"})
    save_samples(work, calibration, reference.load(work / REFERENCE).inputs)
    arguments = [[str(work), path.suffix[1:], str(path)] for path in floats]
    made = [_child(explain.__name__, own, work) for own in arguments]
    convert.run_children(made, timeout_s=plan.job.timeout_s, memory_mb=_memory_mb(plan))
    found = {path.suffix[1:]: explain.load(work, path.suffix[1:]) for path in floats}
    for fmt, own in found.items():
        for line in harm.lines(own.harms, own.whole_db):
            report({"text": f"{fmt}: {line}"})
    return found


def _calibration(
    plan: _Plan, job: QuantizeJob, subject: Subject, report: Report
) -> Calibration | None:
    if not integers_of(job.precision).CALIBRATED:
        return None
    path = plan.job.calibration
    arrays = read_npz(path) if path is not None else None
    return plan.source.calibration(subject.signature, arrays, job.samples, report)


def _writer_arguments(plan: _Plan, fmt: str, out: Path, work: Path) -> list[Path | str]:
    arguments: list[Path | str] = [work / "program.pt2", work / "capture.json", out]
    arguments += [work / f"{fmt}.json"]
    if plan.quantize is None:
        arguments += ["--twin", twin_file(work, fmt)]
    if plan.sparse == "off" or plan.quantize is not None:
        arguments += ["--dense"]
    if plan.precision in ("fp32", *registry.INTEGER):
        return arguments
    return [*arguments, "--plan", plan_precision.plan_file(work, fmt)]


def _memory_mb(plan: _Plan) -> int:
    return plan.job.memory_mb or convert.machine_memory_mb()


def _blamed(error: ExportError, plan: _Plan, work: Path) -> TinymlError:
    """The writer's ``error`` with the smallest part of the program that causes it."""
    failed = [fmt for fmt in plan.formats if registry.WRITERS[fmt] == error.child]
    if not failed:
        return error
    log = work / capture.LOGS / f"bisect_{failed[0]}.log"
    return blame.explain_conversion(
        error,
        failed[0],
        work,
        log=log,
        budget_s=plan.job.timeout_s,
        memory_mb=_memory_mb(plan),
    )


def _child(module: str, arguments: Sequence[Path | str], work: Path) -> convert.Child:
    log = work / capture.LOGS / f"{module.rpartition('.')[2]}.log"
    return convert.Child(module, tuple(str(argument) for argument in arguments), log)


def _run(plan: _Plan, work: Path, module: str, arguments: list[str]) -> None:
    child = _child(module, arguments, work)
    convert.run_children([child], timeout_s=plan.job.timeout_s, memory_mb=_memory_mb(plan))


def _written(plan: _Plan, fmt: str, path: Path, work: Path) -> ModelFile:
    written = facts.load(work / f"{fmt}.json")
    precision: Any = registry.load("precision", plan.precision)
    planned = plan_precision.plan_file(work, fmt)
    shared = json.loads((work / capture.FACTS).read_text(encoding="utf-8"))["passes"]
    return ModelFile(
        path=path.name,
        sha256=sha256(path),
        format=fmt,
        precision=plan.precision,
        passes=shared | written.passes,
        stages=written.stages,
        layouts=written.layouts,
        minimum_runtime=written.minimum_runtime,
        plan=json.loads(planned.read_text(encoding="utf-8")) if planned.exists() else {},
        note=precision.NOTES.get(fmt, ""),
        twin=written.twin,
        twin_note=written.twin_note,
    )


def _prove(
    plan: _Plan,
    subject: Subject,
    models: tuple[ModelFile, ...],
    draft: Path,
    work: Path,
    report: Report,
) -> Parity:
    shutil.copy(work / REFERENCE, draft / REFERENCE)
    expected = reference.load(draft / REFERENCE)
    captured = json.loads((work / capture.FACTS).read_text(encoding="utf-8"))["parity"]
    found = list(engines(draft, models))
    rows = (
        *(StageParity(**row) for row in captured),
        *prove(found, expected, subject.stages, report),
        *prove_twins(found, expected, work),
    )
    run: RunChild = partial(_run, plan, work)
    accuracy = plan.source.accuracy(found, work, run, report)
    return Parity(rows, accuracy.agreements, accuracy.note, accuracy.metrics)


def _gate(
    job: ExportJob, proof: Parity, models: tuple[ModelFile, ...], draft: Path, work: Path
) -> None:
    try:
        parity.gate(proof)
    except ValidationError as error:
        if job.keep_failed is None:
            hint = f"{error.hint}; --keep-failed DIR leaves a reproduction and a picture"
            raise ValidationError(error.message, hint=hint) from error
        with machine_errors("keeping the failed export"):
            keep_failed(job.keep_failed, proof, models, draft, work)
        hint = f"{error.hint}; python {job.keep_failed / SCRIPT} shows it again"
        raise ValidationError(error.message, hint=hint) from error
