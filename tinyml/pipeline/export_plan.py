"""An export's job, checked against what there is, before anything is run."""

from __future__ import annotations

from dataclasses import dataclass

from tinyml import registry
from tinyml.errors import UsageError, require
from tinyml.export import convert
from tinyml.pipeline.calibration import SAMPLES
from tinyml.pipeline.engines import require as require_runtime
from tinyml.pipeline.export_job import ExportJob
from tinyml.pipeline.quantize import QuantizeJob
from tinyml.pipeline.source import Source
from tinyml.pipeline.trained import TrainedSource
from tinyml.recipe import ExportRecipe
from tinyml.target import Target, find_target

SPARSE = ("auto", "off")
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
        return self.job.memory_mb or convert.machine_memory_mb()


def checked(job: ExportJob, source: Source) -> Plan:
    """`UsageError` or `MissingExtraError` for what cannot be done, before any work."""
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
    return Plan(job, source, target, formats, precision, sparse, _quantize_job(job, precision))


def _quantize_job(job: ExportJob, precision: str) -> QuantizeJob | None:
    """`UsageError` for an option of integers that a precision of floats has no use for."""
    given = {
        "--ranges": job.ranges,
        "--calibration": job.calibration,
        "--calibration-samples": job.calibration_samples,
        "--keep-float": job.keep_float,
        "--weight-scales": job.weight_scales,
        "--equalize": job.equalize,
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
        job.weight_scales or "per-channel",
    )
