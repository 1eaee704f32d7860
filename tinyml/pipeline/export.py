"""A checkpoint in, a proven bundle out: capture, convert, compare, write.

Everything that can be refused is refused before anything is run. The bundle appears by
one rename, after parity; out of tolerance there is none.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from tinyml import checkpoint, registry
from tinyml.bundle import REFERENCE, Bundle, ModelFile, Parity, StageParity
from tinyml.checkpoint import Checkpoint
from tinyml.errors import (
    ExportError,
    MachineError,
    UsageError,
    ValidationError,
    machine_errors,
    require,
)
from tinyml.export import blame, convert, facts, parity
from tinyml.files import new_folder, sha256
from tinyml.pipeline import assemble, capture, reference
from tinyml.pipeline.agreement import Recordings, agreement, validation_recordings
from tinyml.pipeline.engines import Engine, engines
from tinyml.pipeline.engines import require as require_runtime
from tinyml.pipeline.keep import SCRIPT, keep_failed
from tinyml.pipeline.lint import lint_lines, lint_models
from tinyml.pipeline.verify import prove
from tinyml.recipe import Recipe
from tinyml.spec import ModelEntry
from tinyml.target import Target, find_target

Report = Callable[[Mapping[str, Any]], None]
EXTRAS = {
    "onnx": (("torch", "torch"), ("onnxscript", "onnxscript"), ("onnx_ir", "onnx-ir")),
    "tflite": (("torch", "torch"), ("litert_torch", "litert-torch")),
}
REAL_WINDOWS = 4


@dataclass(frozen=True, slots=True)
class ExportJob:
    """What the command line asks for; ``None`` takes the recipe's."""

    model: str
    target: str
    out: Path
    formats: tuple[str, ...] | None = None
    precision: str | None = None
    weights: Path | None = None
    data: Path | None = None
    without_data: bool = False
    force: bool = False
    keep_failed: Path | None = None
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """The job, checked: nothing in it is unknown any more."""

    job: ExportJob
    checkpoint: Checkpoint
    entry: ModelEntry
    target: Target
    formats: tuple[str, ...]
    precision: str


def export(job: ExportJob, report: Report) -> Bundle:
    """Make the bundle at ``job.out``.

    Raises `UsageError`, `InputError` or `MissingExtraError` before any work;
    `ExportError` when a converter refuses the model; `ValidationError` out of tolerance.
    """
    plan = _plan(job)
    with new_folder(job.out, force=job.force) as draft, _scratch() as work:
        recordings = _recordings(plan, report)
        _capture(plan, recordings, work, report)
        models = _convert(plan, work, draft, report)
        findings = lint_models(draft, models, plan.target)
        for line in lint_lines(findings):
            report({"text": line})
        proof = _prove(plan, recordings, models, draft, work, report)
        _gate(job, proof, models, draft, work)
        with machine_errors(f"writing {job.out.name}"):
            bundle = assemble.assemble(
                draft, plan.checkpoint, plan.entry, plan.target.name, models, proof, findings
            )
    return replace(bundle, folder=job.out)


def _plan(job: ExportJob) -> _Plan:
    target = find_target(job.target)
    saved = _checkpoint(job)
    entry: ModelEntry = registry.load("model", saved.model)
    wanted = job.formats or saved.recipe.export.formats
    for name in wanted:
        if name not in registry.WRITERS:
            raise registry.unknown_name("format", name, registry.WRITERS)
        if name not in target.formats:
            raise UsageError(
                f"no runtime on {target.name} reads {name}",
                hint=f"formats there: {', '.join(target.formats)}",
            )
    precision = job.precision or saved.recipe.export.precision
    if precision not in registry.PRECISIONS:
        raise registry.unknown_name("precision", precision, registry.PRECISIONS)
    for name in wanted:
        for module, package in EXTRAS[name]:
            require(module, package, name)
        require_runtime(registry.load("runtime", registry.RUNTIME_OF_FORMAT[name]))
    return _Plan(job, saved, entry, target, tuple(dict.fromkeys(wanted)), precision)


def _checkpoint(job: ExportJob) -> Checkpoint:
    """An existing path is a checkpoint; anything else a registered name with ``--weights``."""
    if Path(job.model).exists():
        saved = checkpoint.load(Path(job.model))
        if saved.model not in registry.MODELS:
            raise registry.unknown_name("model", saved.model, registry.MODELS)
        return saved
    if job.model not in registry.MODELS:
        raise registry.unknown_name("model", job.model, registry.MODELS)
    if job.weights is None:
        raise UsageError(
            f"'{job.model}' is a model's name: it needs --weights",
            hint="give a safetensors state dict, or a checkpoint of tinyml train",
        )
    return _named(job.model, job.weights)


def _named(name: str, weights: Path) -> Checkpoint:
    require("torch", "torch", "train")
    entry: ModelEntry = registry.load("model", name)
    if not weights.is_file():
        raise UsageError(f"no weights at {weights}", hint="give a safetensors state dict")
    _, arrays = checkpoint.read_safetensors(weights)
    return Checkpoint(
        model=name,
        weights=arrays,
        signature=entry.signature(len(entry.decision.labels)),
        decision=entry.decision,
        recipe=Recipe(name=f"{name} with given weights", model=name),
        facts={},
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


def _recordings(plan: _Plan, report: Report) -> Recordings | None:
    if plan.job.without_data or not plan.checkpoint.facts:
        return None
    return validation_recordings(plan.checkpoint, plan.job.data, report)


def _capture(plan: _Plan, recordings: Recordings | None, work: Path, report: Report) -> None:
    report({"text": "capturing the model with torch.export"})
    signature = plan.checkpoint.signature
    cases = parity.cases(signature, plan.checkpoint.recipe.seed)
    with machine_errors("writing the parity cases"):
        if recordings is not None:
            cases = recordings.cases(signature, REAL_WINDOWS) | cases
            recordings.save_windows(work / capture.WINDOWS)
        flat = {f"input/{c}/{name}": a for c, given in cases.items() for name, a in given.items()}
        save_file(flat, work / capture.CASES)
        plan.checkpoint.save(work / checkpoint.FILE)
    # Half of the time for capture, half to find out why it fails.
    arguments = [str(work / checkpoint.FILE), str(work), str(plan.job.timeout_s / 2)]
    _child("tinyml.pipeline.capture", arguments, plan, work)


def _convert(plan: _Plan, work: Path, draft: Path, report: Report) -> tuple[ModelFile, ...]:
    report({"text": f"converting to {' and '.join(plan.formats)}"})
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(_write, plan, fmt, work, draft) for fmt in plan.formats]
        return tuple(future.result() for future in futures)


def _write(plan: _Plan, fmt: str, work: Path, draft: Path) -> ModelFile:
    name = f"{plan.entry.name}-{plan.precision}.{fmt}"
    noted = work / f"{fmt}.json"
    arguments = [work / "program.pt2", work / "capture.json", draft / name, noted]
    try:
        _child(registry.WRITERS[fmt], [str(argument) for argument in arguments], plan, work)
    except ExportError as error:
        log = work / capture.LOGS / f"bisect_{fmt}.log"
        budget_s = plan.job.timeout_s
        raise blame.explain_conversion(error, fmt, work, log=log, budget_s=budget_s) from error
    written = facts.load(noted)
    shared = json.loads((work / capture.FACTS).read_text(encoding="utf-8"))["passes"]
    return ModelFile(
        path=name,
        sha256=sha256(draft / name),
        format=fmt,
        precision=plan.precision,
        passes=shared | written.passes,
        stages=written.stages,
        layouts=written.layouts,
        minimum_runtime=written.minimum_runtime,
    )


def _child(module: str, arguments: list[str], plan: _Plan, work: Path) -> None:
    log = work / capture.LOGS / f"{module.rpartition('.')[2]}.log"
    convert.run_child(module, arguments, log=log, timeout_s=plan.job.timeout_s)


def _prove(
    plan: _Plan,
    recordings: Recordings | None,
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
        *prove(found, expected, plan.entry.stages, report),
    )
    if recordings is None:
        return Parity(rows, accuracy_note="nobody measured accuracy: no validation data was given")
    return Parity(rows, _agreements(recordings, found, work, report))


def _agreements(
    recordings: Recordings, found: list[Engine], work: Path, report: Report
) -> tuple[Any, ...]:
    return tuple(
        agreement(recordings, engine, work / capture.PROBABILITIES, report) for engine in found
    )


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
