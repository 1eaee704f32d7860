"""An export's job and settings, checked against what is available, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyml.core.array_files import read_npz
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import UsageError, require
from tinyml.core.export_job import ExportJob
from tinyml.core.export_settings import ADAPTIVE, FLOAT, QUANTIZATION, ExportSettings
from tinyml.core.process import machine_memory_mb
from tinyml.core.settings import asked_for, complete, settings_of
from tinyml.core.spec import Arrays
from tinyml.core.target import Target, find_target
from tinyml.core.worker import Worker
from tinyml.export.quantization.precision import Precision, all_precisions, find_precision
from tinyml.pipeline.formats import named, runtime_of
from tinyml.pipeline.formats.of_target import check_formats, complete_for
from tinyml.pipeline.model_sources.source import Source
from tinyml.pipeline.model_sources.streaming_part import check_streaming
from tinyml.pipeline.model_sources.trained import TrainedSource
from tinyml.pipeline.model_sources.user_model import ModuleSource
from tinyml.pipeline.outputs.engines import require as require_runtime
from tinyml.pipeline.steps.delegation import check_requirement

# Of a model's name, in bytes: a file's has its precision, format and a temporary ending too.
LONGEST_NAME, LONGEST_SHOWN = 180, 60
OF_RANGES = ("ranges", "calibration", "calibration_samples")
SEARCHED = (
    "`auto_precision` kept every layer in float32 that it found to help: try another `ranges`, "
    "more samples with `calibration`, or `precision=fp16`"
)


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """The job and its settings, checked and complete; ``traits``: of the precision.

    ``calibration``: the arrays of the job's file. ``worker`` runs the steps that are ours.
    """

    job: ExportJob
    source: Source
    target: Target
    settings: ExportSettings
    traits: Precision
    worker: Worker
    calibration: Arrays | None = None

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of the model files, each once."""
        return tuple(dict.fromkeys(self.settings.formats or ()))

    @property
    def precision(self) -> str:
        """Registered name of the precision."""
        return self.settings.precision

    @property
    def memory_mb(self) -> int:
        """What one child may use."""
        return self.worker.memory_mb

    @property
    def accepted_loss(self) -> float | None:
        """Accepted loss of the metric of the validation set, a fraction of 1; ``None``: default."""
        return accepted_loss(self.settings)

    @property
    def remedies(self) -> str:
        """What a quantized export that is refused can try and has not tried yet."""
        return remedies(self.settings)


def accepted_loss(settings: ExportSettings) -> float | None:
    """See `ExportPlan.accepted_loss`."""
    return settings.max_drop_points / 100 if settings.auto_precision else None


def remedies(settings: ExportSettings) -> str:
    """See `ExportPlan.remedies`."""
    if settings.auto_precision:
        return SEARCHED
    ranking = "" if settings.explain else ", `explain` ranks them"
    return (
        f"`auto_precision` keeps the most sensitive layers in float32{ranking}; "
        "or try another `ranges`"
    )


def checked(job: ExportJob, source: Source, settings: ExportSettings) -> ExportPlan:
    """`UsageError`, `InputError` or `MissingExtraError` for what cannot be done, before any work.

    ``settings`` are those of the recipe and of ``job`` together.
    """
    check_name(source.name)
    if settings.streaming:
        check_streaming(source)
    saved = source.checkpoint if isinstance(source, TrainedSource) else None
    samples = source.samples if isinstance(source, ModuleSource) else None
    traits = check_settings(job, settings, saved, calibrated=samples is not None)
    arrays = read_npz(job.calibration) if job.calibration is not None else None
    if traits.calibrated:
        source.check_calibration(arrays)
    target = find_target(job.target)
    chosen = complete_for(settings, target)
    worker = Worker(chosen.memory_mb or machine_memory_mb())
    return ExportPlan(job, source, target, chosen, traits, worker, arrays)


def check_name(name: str) -> None:
    """`UsageError` for a model's name that cannot begin the name of a file."""
    if not name or "/" in name or not name.isprintable() or len(name.encode()) > LONGEST_NAME:
        raise UsageError(
            f"'{name[:LONGEST_SHOWN]}' cannot be the name of model files",
            hint=f"give a name without '/', of at most {LONGEST_NAME} bytes",
        )


def check_settings(
    job: ExportJob,
    settings: ExportSettings,
    saved: Checkpoint | None,
    *,
    calibrated: bool = False,
) -> Precision:
    """The part of `checked` that no model is needed for: ``saved`` is a checkpoint or ``None``.

    ``calibrated``: samples are in memory.
    """
    target = find_target(job.target)
    chosen = complete_for(settings, target)
    asked = _asked(job, settings)
    if "max_drop_points" in asked and not chosen.auto_precision:
        raise UsageError(
            "`max_drop_points` is for `auto_precision`, which is not given",
            hint=f"add `auto_precision`, or {job.without('max_drop_points')}",
        )
    traits = find_precision(chosen.precision)
    formats = chosen.formats or ()
    check_formats(formats, target, traits)
    if chosen.require_delegate:
        check_requirement(formats)
    if traits.quantization_aware and not (saved is not None and saved.recipe.quantization_aware):
        raise UsageError(
            f"{traits.name} needs weights from quantization-aware fine-tuning, and these are not",
            hint="tinyml train --qat CHECKPOINT --out RUN, then export RUN; "
            "or w8a8-static, without training",
        )
    for known in map(named, formats):
        for module, package in known.needs:
            require(module, package, known.extra)
        require_runtime(runtime_of(known))
    if chosen.io not in traits.io:
        able = ", ".join(own.name for own in all_precisions() if chosen.io in own.io)
        raise UsageError(
            f"`io={chosen.io}` is for {able}: {traits.float_io}",
            hint=job.without("io"),
        )
    _check_io_types(formats, chosen, traits)
    trained = saved is not None and bool(saved.facts)
    _check_quantization(job, asked, traits, calibrated=calibrated, trained=trained)
    _check_rounding(job, chosen, traits)
    return traits


def _asked(job: ExportJob, settings: ExportSettings) -> tuple[str, ...]:
    """Names of the settings that ask for something: a recipe may write down a default."""
    plain, call = complete(ExportSettings()), asked_for(job.settings)
    return tuple(
        name
        for name, value in asked_for(settings).items()
        if name in call or value != getattr(plain, name)
    )


def _check_quantization(
    job: ExportJob,
    asked: Sequence[str],
    precision: Precision,
    *,
    calibrated: bool,
    trained: bool,
) -> None:
    """`UsageError` for a setting, of the call or of the recipe, that the precision cannot use.

    ``trained``: the checkpoint names the data that it was trained on.
    """
    of_quantization = [
        name
        for name in asked
        if settings_of(ExportSettings)[name].panel == QUANTIZATION
        and name not in ("io", "max_drop_points")
    ]
    calibrated = calibrated or job.calibration is not None
    if calibrated:
        of_quantization.append("calibration")
    for name in of_quantization:
        if not precision.quantized:
            known = [own.name for own in all_precisions() if own.quantized]
            raise UsageError(
                f"`{name}` is for quantized precisions: {', '.join(known)}; "
                f"this is {precision.name}",
                hint=f"choose `precision={known[0]}`, or {job.without(name)}",
            )
        if name in OF_RANGES and not precision.calibrated:
            none = precision.weights_only
            why = "leaves activations in float32" if none else "finds its own at each call"
            raise UsageError(
                f"`{name}` is for ranges that are fixed: {precision.name} {why}",
                hint=job.without(name),
            )
    if job.calibration is not None and not job.calibration.is_file():
        raise UsageError(f"no calibration data at {job.calibration}", hint="an .npz of inputs")
    if "calibration_samples" in asked and not calibrated and not trained:
        raise UsageError(
            "`calibration_samples` is how many of `calibration` are used, which is not given",
            hint="an .npz of inputs",
        )


def _check_io_types(formats: Sequence[str], chosen: ExportSettings, precision: Precision) -> None:
    """`UsageError` for quantized inputs and outputs that one of the files cannot have."""
    if chosen.io == FLOAT:
        return
    for fmt in formats:
        known = precision.activation_types(fmt)
        if chosen.io not in known:
            others = [own for own in formats if chosen.io in precision.activation_types(own)]
            other = f"`formats={','.join(others)}`, or " if others else ""
            raise UsageError(
                f"`io={chosen.io}`: {named(fmt).suffix} files take and give {known[0]}, in which "
                f"{named(fmt).runtime} computes",
                hint=f"choose {other}`io={known[0]}`",
            )


def _check_rounding(job: ExportJob, chosen: ExportSettings, precision: Precision) -> None:
    """`UsageError` for biases or roundings that cannot follow samples, or do already."""
    able = " or ".join(own.name for own in all_precisions() if not own.fixed_biases)
    asked = {"correct_bias": chosen.correct_bias, "rounding": chosen.rounding == ADAPTIVE}
    shown = {"correct_bias": "`correct_bias`", "rounding": "`rounding=adaptive`"}
    for name in (name for name, is_asked in asked.items() if is_asked):
        if precision.fixed_biases:
            raise UsageError(
                f"{shown[name]} is not for {precision.name}: {precision.fixed_biases}",
                hint=f"{job.without(name)}, or choose {able}",
            )
    if all(asked.values()):
        raise UsageError(
            "`correct_bias` next to `rounding=adaptive`: biases are corrected already",
            hint=job.without("correct_bias"),
        )
