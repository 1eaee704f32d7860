"""What an export is asked for, and the door that the model comes in by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinyml.core.errors import UsageError
from tinyml.pipeline.sources.arrays import read_npz
from tinyml.pipeline.sources.source import Source
from tinyml.pipeline.sources.trained import TrainedSource, named_model, sample_for, saved_model
from tinyml.pipeline.sources.user_code import is_code
from tinyml.pipeline.sources.user_model import (
    Asked,
    FactorySource,
    read_labels,
    read_measuring,
    read_states,
)

# Of labels in percent, or of the metric.
MAX_DROP_POINTS = 0.5
SEARCHED = (
    "--auto-precision kept every layer in float32 that it found to help: try another --ranges, "
    "more samples with --calibration, or --precision fp16"
)


@dataclass(frozen=True, slots=True)
class ExportJob:
    """What the command line asks for; ``None`` takes the recipe's.

    sample, states, metric, labels, input_layout and strip_prefix are for users' models;
    metric_direction is ``higher`` or ``lower``, metric_tolerance how much worse it may become;
    ``data`` is the data set's folder for a checkpoint, the metric's arrays for a factory.
    ``recipe``: a recipe file whose [export] is taken; ``io``: ``float`` or ``int8``.
    ranges, calibration, calibration_samples and keep_float are for integer precisions: the
    method, an .npz of inputs, how many of them, stages that stay in float32; weight_scales is
    ``per-channel`` or ``per-tensor``; front_end ``float`` or ``int8``; equalize balances
    channels of consecutive layers first; correct_bias takes from each bias what rounding the
    weights adds to the mean of its layer; rounding is ``nearest`` or ``adaptive``; explain
    ranks the layers by sensitivity, auto_precision keeps the worst in float32 until at most
    ``max_drop_points`` percent of the labels move.
    ``require_delegate``: XNNPACK must take every operator of the .tflite file.
    ``memory_mb`` is what one child may use; ``None``: all that the machine has.
    """

    model: str
    target: str
    out: Path
    formats: tuple[str, ...] | None = None
    precision: str | None = None
    sparse: str | None = None
    io: str | None = None
    recipe: Path | None = None
    ranges: str | None = None
    calibration: Path | None = None
    calibration_samples: int | None = None
    keep_float: tuple[str, ...] = ()
    weight_scales: str | None = None
    front_end: str | None = None
    equalize: bool = False
    correct_bias: bool = False
    rounding: str | None = None
    explain: bool = False
    auto_precision: bool = False
    max_drop_points: float | None = None
    weights: Path | None = None
    strip_prefix: str = ""
    sample: Path | None = None
    states: tuple[str, ...] = ()
    metric: str | None = None
    metric_direction: str | None = None
    metric_tolerance: float | None = None
    labels: Path | None = None
    input_layout: str = "nchw"
    data: Path | None = None
    without_data: bool = False
    require_delegate: bool = False
    force: bool = False
    keep_failed: Path | None = None
    timeout_s: float = 600.0
    memory_mb: int | None = None

    @property
    def accepted_loss(self) -> float | None:
        """Of the metric of what was held out, a fraction of 1; ``None``: nothing was said."""
        return self.max_drop / 100 if self.auto_precision else None

    @property
    def remedies(self) -> str:
        """What an export of integers that is refused can try, of what it has not tried yet."""
        if self.auto_precision:
            return SEARCHED
        ranking = "" if self.explain else ", --explain ranks them"
        return (
            "--auto-precision keeps the most sensitive layers in float32"
            f"{ranking}; or try another --ranges"
        )

    @property
    def max_drop(self) -> float:
        """``max_drop_points``, or what they are by default."""
        return MAX_DROP_POINTS if self.max_drop_points is None else self.max_drop_points


def source_of(job: ExportJob) -> Source:
    """An existing path is a checkpoint, ``X:Y`` a factory, anything else a registered name."""
    path = Path(job.model)
    if is_code(job.model) and not path.exists():
        return _factory(job)
    if path.suffix == ".py":
        raise UsageError(
            f"'{job.model}' does not say what makes the model", hint=f"give {path}:FACTORY"
        )
    whose = f"a model of your own, PATH.py:FACTORY; '{job.model}' is not one"
    layout = job.input_layout != "nchw"
    _refuse(whose, state=job.states, metric=job.metric, labels=job.labels, input_layout=layout)
    tolerance = job.metric_tolerance is not None
    _refuse(whose, metric_direction=job.metric_direction, metric_tolerance=tolerance)
    if path.exists():
        whose = f"a factory or a model's name; '{job.model}' is a checkpoint"
        _refuse(whose, weights=job.weights, strip_prefix=job.strip_prefix, sample=job.sample)
        if job.without_data and job.data is not None:
            raise UsageError(
                "--data beside --without-data: is the data to be used or not?",
                hint="leave one of them away",
            )
        return TrainedSource(*saved_model(path), data=job.data, without_data=job.without_data)
    saved, entry = named_model(job.model, job.weights)
    whose = f"a checkpoint; '{job.model}' with --weights has no data set"
    _refuse(whose, data=job.data, without_data=job.without_data)
    if job.weights is not None and not job.weights.is_file():
        raise UsageError(f"no weights at {job.weights}", hint="give a safetensors state dict")
    return TrainedSource(
        saved,
        entry,
        weights=job.weights,
        strip_prefix=job.strip_prefix,
        sample=sample_for(entry, job.sample),
    )


def _factory(job: ExportJob) -> Source:
    _refuse(f"a checkpoint; '{job.model}' is none", without_data=job.without_data)
    if job.sample is None:
        raise UsageError(
            f"'{job.model}' needs --sample",
            hint="an .npz of the inputs by name: numpy.savez('sample.npz', x=array)",
        )
    asked = Asked(
        sample=read_npz(job.sample),
        states=read_states(job.states),
        labels=read_labels(job.labels),
        layout=job.input_layout,
        measuring=read_measuring(job.metric, job.data, job.metric_direction, job.metric_tolerance),
    )
    return FactorySource(job.model, asked, job.weights, job.strip_prefix)


def _refuse(whose: str, **given: object) -> None:
    """`UsageError` for the first option in ``given`` that is there: it would do nothing."""
    for name, value in given.items():
        if value:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is for {whose}", hint=f"leave {option} away")
