"""Float32 files -> integer files that hold, each layer that does not in float32 again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyml.core.bundle import ModelFile, Parity
from tinyml.core.diagnosis import Confusion, SensitivityAnalysis
from tinyml.core.errors import UsageError, ValidationError
from tinyml.core.events import Message, Report
from tinyml.core.export_settings import ADAPTIVE, ExportSettings
from tinyml.core.spec import Array
from tinyml.export.quantization.plan import QuantPlan
from tinyml.export.quantization.plan import load as load_plan
from tinyml.export.quantization.sensitivity import lines
from tinyml.modelfile.read import read_graph
from tinyml.pipeline.formats import format_of
from tinyml.pipeline.model_sources.calibration import Calibration
from tinyml.pipeline.model_sources.check_model import check_kept
from tinyml.pipeline.model_sources.source import ExportedModel
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.quantization import bias_shift, sensitivity
from tinyml.pipeline.quantization.adaptive_rounding import adapt
from tinyml.pipeline.quantization.diagnose import diagnosed, samples_of
from tinyml.pipeline.quantization.quantize import (
    BY_USER,
    plan_quantized,
    seen,
)
from tinyml.pipeline.quantization.sensitivity import next_layer, save_samples, settled
from tinyml.pipeline.quantization.uneven_outputs import uneven_outputs
from tinyml.pipeline.steps.check_files import check_files
from tinyml.pipeline.steps.export_plan import ExportPlan
from tinyml.pipeline.steps.lint import Findings, lint_lines
from tinyml.pipeline.steps.perform import perform
from tinyml.pipeline.steps.write_files import (
    conversion_child,
    run_children,
    write_floats,
)

FLOAT_IO = "choose `io=float`"


@dataclass(frozen=True, slots=True)
class Written:
    """Checked files, and by file what was found of their quantization.

    sensitivities  format -> the sensitivity of each layer, where it was asked for
    kept           stages that stay in float32
    """

    models: tuple[ModelFile, ...]
    parity: Parity
    findings: Findings = field(default_factory=dict)
    classes: Mapping[str, Confusion] = field(default_factory=dict)
    sensitivities: Mapping[str, SensitivityAnalysis] = field(default_factory=dict)
    kept: tuple[str, ...] = ()


def write_quantized(
    plan: ExportPlan, exported: ExportedModel, work: Workspace, draft: Path, report: Report
) -> Written:
    """Float32 files in ``work``, looked at on samples, and their checked quantized forms.

    With ``auto_precision`` again and again, one more layer in float32 each time; the stages
    that were kept come last.
    """
    settings = plan.settings
    check_io(settings, exported)
    check_kept(settings.keep_float, exported.stages)
    calibration = _calibration(plan, exported, report)
    floats = write_floats(plan, work, report)
    ranges = {path: seen(path, settings, calibration, report) for path in floats}
    keep = dict.fromkeys(settings.keep_float, BY_USER)
    front_end = exported.front_end if settings.front_end == "float" else None

    uneven = {
        path: uneven_outputs(path, read_graph(path, infer_shapes=False).outputs, calibration)
        for path in floats
    }

    def planned_for(path: Path, shifts: Mapping[str, Array] | None = None) -> QuantPlan:
        return plan_quantized(
            path,
            settings,
            keep,
            ranges[path],
            calibration,
            front_end,
            shifts,
            uneven[path],
            x86=plan.target.is_x86,
        )

    shifts = {path: _shifts(path, settings, planned_for, calibration, report) for path in floats}
    found: Mapping[str, SensitivityAnalysis] | None = None
    while True:
        for path in floats:
            planned = planned_for(path, shifts[path])
            planned.save(work.plan(planned.format))
            for line in planned.lines():
                report(Message(line))
        if found is None and (settings.explain or settings.auto_precision):
            found = _sensitivities(plan, floats, calibration, exported, work, report)
        models = perform(plan, floats, work, draft, report)
        parity = _parity(plan, exported, models, draft, work, report)
        more = None
        if settings.auto_precision and not _holds(parity, settings.max_drop_points):
            more = next_layer(found or {}, keep, exported.stages)
        findings, classes = _diagnose(floats, calibration, exported, work, draft)
        if more is None:
            return Written(models, _or_raise(parity), findings, classes, found or {}, tuple(keep))
        for line in lint_lines(findings):
            report(Message(line))
        keep[more] = f"quantizing it alone adds the most noise ({settings.max_drop_points:g})"
        report(Message(f"{more} stays in float32 from here on"))


def _parity(*arguments: Any) -> Parity | ValidationError:
    """`check_files`; its error, an output that is not finite, is a check that fails."""
    try:
        return check_files(*arguments)
    except ValidationError as error:
        return error


def _or_raise(found: Parity | ValidationError) -> Parity:
    if isinstance(found, ValidationError):
        raise found
    return found


def _holds(found: Parity | ValidationError, max_drop_points: float) -> bool:
    return isinstance(found, Parity) and settled(found, max_drop_points)


def _shifts(
    path: Path,
    settings: ExportSettings,
    planned_for: Callable[[Path], QuantPlan],
    calibration: Calibration | None,
    report: Report,
) -> Mapping[str, Array]:
    """What is taken from the biases; with adaptive rounding the weights are chosen too."""
    if calibration is not None and settings.rounding == ADAPTIVE:
        return adapt(path, settings, planned_for(path).kept, calibration, report)
    return bias_shift.asked_for(path, settings, calibration, report)


def check_front_end(settings: ExportSettings, name: str, front_end: str | None) -> None:
    """`UsageError` for the setting of a front end that the model called ``name`` does not have."""
    if settings.front_end == "int8" and front_end is None:
        raise UsageError(f"`front_end=int8`: {name} has no front end", hint="omit `front_end`")


def check_io(settings: ExportSettings, exported: ExportedModel) -> None:
    """`UsageError` for quantized inputs, outputs or a front end that the model cannot have."""
    check_front_end(settings, exported.name, exported.front_end)
    if settings.io == "float":
        return
    if exported.front_end is not None and settings.front_end == "float":
        raise UsageError(
            f"`io={settings.io}`: the front end of {exported.name} stays in float32, up to "
            f"'{exported.front_end}', and takes its input as it is",
            hint=f"{FLOAT_IO}; or quantize it too, `front_end=int8`, if the gate lets it pass",
        )
    check_states(settings, exported.name, has_states=bool(exported.signature.states))


def check_states(settings: ExportSettings, name: str, *, has_states: bool) -> None:
    """`UsageError` for quantized inputs and outputs of a model that carries a state."""
    if has_states and settings.io != "float":
        raise UsageError(
            f"`io={settings.io}`: the state of {name} would be rounded at each call, in and out "
            "over different ranges",
            hint=FLOAT_IO,
        )


def _diagnose(
    floats: Sequence[Path],
    calibration: Calibration | None,
    exported: ExportedModel,
    work: Workspace,
    draft: Path,
) -> tuple[Findings, dict[str, Confusion]]:
    """By file: what is wrong with its integers, and its predicted classes."""
    samples = samples_of(calibration, work.load_reference().inputs)
    findings, classes = {}, {}
    for path in floats:
        fmt = format_of(path).name
        planned = load_plan(work.plan(fmt))
        owners = work.load_float_facts(fmt).owners
        out = draft / path.name
        io_params = work.load_facts(fmt).quant_params
        found, own = diagnosed(path, out, planned, owners, samples, exported, io_params)
        findings[path.name] = tuple(found)
        if own is not None:
            classes[path.name] = own
    return findings, classes


def _sensitivities(
    plan: ExportPlan,
    floats: Sequence[Path],
    calibration: Calibration | None,
    exported: ExportedModel,
    work: Workspace,
    report: Report,
) -> dict[str, SensitivityAnalysis]:
    """Format -> the sensitivity of each layer, reported."""
    report(Message("quantizing each layer alone"))
    save_samples(work, calibration, work.load_reference().inputs)
    arguments = [[str(work.folder), format_of(path).name, str(path)] for path in floats]
    made = [conversion_child(sensitivity.__name__, own, work) for own in arguments]
    run_children(plan, made)
    found = {format_of(path).name: work.load_sensitivity(format_of(path).name) for path in floats}
    for fmt, own in found.items():
        for line in lines(own):
            report(Message(f"{fmt}: {line}"))
    return found


def _calibration(plan: ExportPlan, exported: ExportedModel, report: Report) -> Calibration | None:
    if not plan.traits.calibrated:
        return None
    return plan.source.calibration(
        exported.signature, plan.calibration, plan.settings.calibration_samples, report
    )
