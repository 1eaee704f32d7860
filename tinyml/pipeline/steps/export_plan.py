"""An export's job, checked against what there is, before anything is run."""

from __future__ import annotations

from dataclasses import dataclass

from tinyml.core import registry
from tinyml.core.errors import UsageError, require
from tinyml.core.process import machine_memory_mb
from tinyml.core.quant_params import IO
from tinyml.core.recipe import QAT, ExportRecipe
from tinyml.core.recipe import read as read_recipe
from tinyml.core.target import Target, find_target
from tinyml.core.worker import Worker
from tinyml.export.quantization.precisions import integers_of
from tinyml.pipeline.answers.engines import require as require_runtime
from tinyml.pipeline.formats import named, runtime_of
from tinyml.pipeline.quantization.quantize import QuantizeJob
from tinyml.pipeline.sources.export_job import ExportJob
from tinyml.pipeline.sources.source import Source
from tinyml.pipeline.sources.trained import TrainedSource
from tinyml.pipeline.steps.delegation import check_requirement

SPARSE = ("auto", "off")
NO_INT8_ENDS = {
    "fp32": "fp32 has no integers",
    "fp16": "fp16 has no integers",
    "w8-dynamic": "w8-dynamic finds its ranges at each call, from inputs in float32",
    "w8a16": "the activations of w8a16 have 16 bits",
    "w8": "the activations of w8 stay float32",
}
OF_RANGES = ("--ranges", "--calibration", "--calibration-samples")


@dataclass(frozen=True, slots=True)
class Plan:
    """The job, checked: nothing in it is unknown any more; ``quantize``: for integers.

    ``worker`` runs the steps that are ours.
    """

    job: ExportJob
    source: Source
    target: Target
    formats: tuple[str, ...]
    precision: str
    sparse: str
    quantize: QuantizeJob | None
    worker: Worker

    @property
    def memory_mb(self) -> int:
        """What one child may use."""
        return self.worker.memory_mb


def checked(job: ExportJob, source: Source) -> Plan:
    """`UsageError` or `MissingExtraError` for what cannot be done, before any work."""
    target = find_target(job.target)
    if job.max_drop_points is not None and not job.auto_precision:
        raise UsageError(
            "--max-drop-points is for --auto-precision, which is not given",
            hint="add --auto-precision, or leave --max-drop-points away",
        )
    default = _recipe(job, source)
    wanted = job.formats or default.formats
    for name in wanted:
        if name not in registry.FORMATS:
            raise registry.unknown_name("format", name, registry.FORMATS)
        if name not in target.formats:
            raise UsageError(
                f"no runtime on {target.name} reads {name}",
                hint=f"formats there: {', '.join(target.formats)}",
            )
    if job.require_delegate:
        check_requirement(wanted)
    precision = _chosen(job.precision, default.precision)
    if precision not in registry.PRECISIONS:
        raise registry.unknown_name("precision", precision, registry.PRECISIONS)
    if precision == QAT and not _is_trained_rounded(source):
        raise UsageError(
            f"{QAT} is for weights that were trained in eight bits, and these were not",
            hint="tinyml train --qat CHECKPOINT --out RUN, then export RUN; "
            "or w8a8-static, without training",
        )
    sparse = _chosen(job.sparse, default.sparse)
    if sparse not in SPARSE:
        raise registry.unknown_name("way to store zeros", sparse, SPARSE)
    for known in map(named, wanted):
        for module, package in known.needs:
            require(module, package, known.extra)
        require_runtime(runtime_of(known))
    formats = tuple(dict.fromkeys(wanted))
    quantize = _quantize_job(job, source, default, precision, _io(job, default, precision))
    worker = Worker(job.memory_mb or machine_memory_mb())
    return Plan(job, source, target, formats, precision, sparse, quantize, worker)


def _chosen(given: str | None, default: str) -> str:
    """An option that is there counts, an empty one too: it is a name that nothing has."""
    return default if given is None else given


def _is_trained(source: Source) -> bool:
    """Whether it says which data it was trained on."""
    return isinstance(source, TrainedSource) and bool(source.checkpoint.facts)


def _is_trained_rounded(source: Source) -> bool:
    return isinstance(source, TrainedSource) and source.checkpoint.recipe.quantization_aware


def _recipe(job: ExportJob, source: Source) -> ExportRecipe:
    """The [export] that options override: of the file given, else of the checkpoint."""
    if job.recipe is not None:
        return read_recipe(job.recipe).export
    return source.checkpoint.recipe.export if isinstance(source, TrainedSource) else ExportRecipe()


def _io(job: ExportJob, default: ExportRecipe, precision: str) -> str:
    """`UsageError` where inputs and outputs cannot be what is asked for."""
    io = _chosen(job.io, default.io)
    if io not in IO:
        raise registry.unknown_name("kind of inputs and outputs", io, IO)
    if io == "int8" and precision in NO_INT8_ENDS:
        raise UsageError(
            f"--io int8 is for w8a8-static, qat-w8a8: {NO_INT8_ENDS[precision]}",
            hint="leave --io at float",
        )
    return io


def _quantize_job(
    job: ExportJob, source: Source, default: ExportRecipe, precision: str, io: str
) -> QuantizeJob | None:
    """`UsageError` for an option that the precision has no use for."""
    given = {
        "--ranges": job.ranges,
        "--calibration": job.calibration,
        "--calibration-samples": job.calibration_samples,
        "--keep-float": job.keep_float,
        "--weight-scales": job.weight_scales,
        "--front-end": job.front_end,
        "--equalize": job.equalize,
        "--correct-bias": job.correct_bias,
        "--rounding": job.rounding,
        "--explain": job.explain,
        "--auto-precision": job.auto_precision,
    }
    asked = [option for option, value in given.items() if value not in (None, (), False)]
    if precision not in registry.INTEGER:
        for option in asked:
            known = ", ".join(registry.INTEGER)
            raise UsageError(
                f"{option} is for integers: {known}; this is {precision}",
                hint=f"add --precision {registry.INTEGER[0]}, or leave {option} away",
            )
        return None
    if not integers_of(precision).CALIBRATED:
        none = integers_of(precision).WEIGHTS_ONLY
        why = "leaves activations in float32" if none else "finds its own at each call"
        for option in (own for own in asked if own in OF_RANGES):
            raise UsageError(
                f"{option} is for ranges that are fixed: {precision} {why}",
                hint=f"leave {option} away",
            )
    if job.calibration is not None and not job.calibration.is_file():
        raise UsageError(f"no calibration data at {job.calibration}", hint="an .npz of inputs")
    samples = job.calibration_samples
    made = QuantizeJob(
        precision,
        _chosen(job.ranges, default.ranges),
        default.calibration_samples if samples is None else samples,
        job.keep_float or default.keep_float,
        job.explain,
        job.max_drop if job.auto_precision else None,
        io,
        _chosen(job.weight_scales, default.weight_scales),
        job.equalize or default.equalize,
        _chosen(job.front_end, default.front_end),
        job.correct_bias or default.correct_bias,
        _chosen(job.rounding, default.rounding),
    )
    if samples is not None and job.calibration is None and not _is_trained(source):
        raise UsageError(
            "--calibration-samples says how many of --calibration's are taken, which is not given",
            hint="an .npz of inputs",
        )
    return made
