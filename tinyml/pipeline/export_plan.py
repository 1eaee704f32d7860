"""An export's job, checked against what there is, before anything is run."""

from __future__ import annotations

from dataclasses import dataclass

from tinyml import registry
from tinyml.errors import UsageError, require
from tinyml.integers import IO
from tinyml.pipeline.delegation import check_requirement
from tinyml.pipeline.engines import require as require_runtime
from tinyml.pipeline.export_job import ExportJob
from tinyml.pipeline.quantize import QuantizeJob
from tinyml.pipeline.source import Source
from tinyml.pipeline.trained import TrainedSource
from tinyml.process import machine_memory_mb
from tinyml.recipe import QAT, ExportRecipe
from tinyml.recipe import read as read_recipe
from tinyml.target import Target, find_target

SPARSE = ("auto", "off")
NO_INT8_ENDS = {
    "fp32": "fp32 has no integers",
    "fp16": "fp16 has no integers",
    "w8-dynamic": "w8-dynamic finds its ranges at each call, from inputs in float32",
    "w8a16": "the activations of w8a16 have 16 bits",
    "w8": "the activations of w8 stay float32",
}
EXTRAS = {
    "onnx": (("torch", "torch"), ("onnxscript", "onnxscript"), ("onnx_ir", "onnx-ir")),
    "tflite": (("torch", "torch"), ("litert_torch", "litert-torch")),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The job, checked: nothing in it is unknown any more; ``quantize``: for integers."""

    job: ExportJob
    source: Source
    target: Target
    formats: tuple[str, ...]
    precision: str
    sparse: str
    quantize: QuantizeJob | None = None

    @property
    def memory_mb(self) -> int:
        """What one child may use."""
        return self.job.memory_mb or machine_memory_mb()


def checked(job: ExportJob, source: Source) -> Plan:
    """`UsageError` or `MissingExtraError` for what cannot be done, before any work."""
    target = find_target(job.target)
    default = _recipe(job, source)
    wanted = job.formats or default.formats
    for name in wanted:
        if name not in registry.WRITERS:
            raise registry.unknown_name("format", name, registry.WRITERS)
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
    for name in wanted:
        for module, package in EXTRAS[name]:
            require(module, package, name)
        require_runtime(registry.load("runtime", registry.RUNTIME_OF_FORMAT[name]))
    formats = tuple(dict.fromkeys(wanted))
    quantize = _quantize_job(job, default, precision, _io(job, default, precision))
    return Plan(job, source, target, formats, precision, sparse, quantize)


def _chosen(given: str | None, default: str) -> str:
    """An option that is there counts, an empty one too: it is a name that nothing has."""
    return default if given is None else given


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
    job: ExportJob, default: ExportRecipe, precision: str, io: str
) -> QuantizeJob | None:
    """`UsageError` for an option of integers that a precision of floats has no use for."""
    given = {
        "--ranges": job.ranges,
        "--calibration": job.calibration,
        "--calibration-samples": job.calibration_samples,
        "--keep-float": job.keep_float,
        "--weight-scales": job.weight_scales,
        "--front-end": job.front_end,
        "--equalize": job.equalize,
        "--explain": job.explain,
        "--auto-precision": job.auto_precision,
    }
    if precision not in registry.INTEGER:
        for option, value in given.items():
            if value:
                known = ", ".join(registry.INTEGER)
                raise UsageError(
                    f"{option} is for integers: {known}; this is {precision}",
                    hint=f"add --precision {registry.INTEGER[0]}, or leave {option} away",
                )
        return None
    if job.calibration is not None and not job.calibration.is_file():
        raise UsageError(f"no calibration data at {job.calibration}", hint="an .npz of inputs")
    samples = job.calibration_samples
    return QuantizeJob(
        precision,
        _chosen(job.ranges, default.ranges),
        default.calibration_samples if samples is None else samples,
        job.keep_float or default.keep_float,
        job.explain,
        job.max_drop_points if job.auto_precision else None,
        io,
        _chosen(job.weight_scales, default.weight_scales),
        job.equalize or default.equalize,
        _chosen(job.front_end, default.front_end),
    )
