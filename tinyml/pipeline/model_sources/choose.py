"""Which source a model comes from, and the settings that its recipe and the call leave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tinyml.core import checkpoint
from tinyml.core.array_files import read_npz
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import UsageError
from tinyml.core.export_job import ExportJob
from tinyml.core.export_settings import NCHW, ExportSettings
from tinyml.core.recipe import read as read_recipe
from tinyml.core.settings import complete, given, overlay
from tinyml.export.quantization.precision import find_precision
from tinyml.pipeline.model_sources.calibration import no_data
from tinyml.pipeline.model_sources.entries import entry_of
from tinyml.pipeline.model_sources.source import Source
from tinyml.pipeline.model_sources.trained import (
    TrainedSource,
    check_named,
    named_model,
    sample_for,
)
from tinyml.pipeline.model_sources.user_code import is_code
from tinyml.pipeline.model_sources.user_model import (
    Asked,
    FactorySource,
    read_labels,
    read_measuring,
    read_states,
)

Check = Callable[[ExportSettings, Checkpoint | None], None]


def source_of(job: ExportJob, check: Check = lambda *_: None) -> tuple[Source, ExportSettings]:
    """An existing path is a checkpoint, ``X:Y`` a factory, anything else a registered name.

    The settings are those of ``job``, over those of its recipe or of the checkpoint's. ``check``
    gets them, and the checkpoint, before a model's module is imported and with it torch.
    """
    path = Path(job.model)
    if is_code(job.model) and not path.exists():
        return _factory(job, check)
    if path.suffix == ".py":
        raise UsageError(
            f"'{job.model}' names no function that makes the model", hint=f"give {path}:FACTORY"
        )
    return _checkpoint(job, path, check) if path.exists() else _named(job, check)


def settings_over(job: ExportJob, base: ExportSettings) -> ExportSettings:
    """The settings of ``job`` over its recipe's [export], or over ``base`` without a recipe."""
    if both := [name for name in job.unset if name in given(job.settings)]:
        raise UsageError(
            f"`{both[0]}` and `{both[0]}=None` exclude each other", hint="omit one of them"
        )
    recipe = base if job.recipe is None else read_recipe(job.recipe).export
    return overlay(recipe, job.settings, job.unset)


def _checkpoint(job: ExportJob, path: Path, check: Check) -> tuple[Source, ExportSettings]:
    _refuse_for_checkpoint(job, settings_over(job, ExportSettings()))
    saved = checkpoint.load(path)
    settings = settings_over(job, saved.recipe.export)
    _refuse_for_checkpoint(job, settings)
    check(settings, saved)
    entry = entry_of(saved)
    source = TrainedSource(saved, entry, data=job.data, without_data=bool(settings.without_data))
    return source, settings


def _refuse_for_checkpoint(job: ExportJob, settings: ExportSettings) -> None:
    _refuse_own_model(job, settings)
    whose = f"a factory or a model's name; '{job.model}' is a checkpoint"
    _refuse(job, whose, weights=job.weights, strip_prefix=settings.strip_prefix, sample=job.sample)
    if settings.without_data and job.data is not None:
        raise UsageError(
            "`data` and `without_data` exclude each other: is the data to be used or not?",
            hint=f"omit `data`, or {job.without('without_data')}",
        )


def _named(job: ExportJob, check: Check) -> tuple[Source, ExportSettings]:
    settings = settings_over(job, ExportSettings())
    _refuse_own_model(job, settings)
    check_named(job.model, job.weights)
    whose = f"a checkpoint; '{job.model}' with `weights` has no data set"
    _refuse(job, whose, data=job.data, without_data=settings.without_data)
    if job.weights is not None and not job.weights.is_file():
        raise UsageError(f"no weights at {job.weights}", hint="give a safetensors state dict")
    check(settings, None)
    precision = find_precision(complete(settings).precision)
    if precision.calibrated and job.calibration is None and job.sample is None:
        raise no_data()
    saved, entry = named_model(job.model)
    source = TrainedSource(
        saved,
        entry,
        weights=job.weights,
        strip_prefix=settings.strip_prefix or "",
        sample=sample_for(entry, job.sample),
    )
    return source, settings


def _factory(job: ExportJob, check: Check) -> tuple[Source, ExportSettings]:
    settings = settings_over(job, ExportSettings())
    whose = f"a checkpoint; '{job.model}' is not one"
    _refuse(job, whose, without_data=settings.without_data)
    if job.sample is None:
        raise UsageError(
            f"'{job.model}' needs `sample`",
            hint="an .npz of the inputs by name: numpy.savez('sample.npz', x=array)",
        )
    check(settings, None)
    direction, tolerance = settings.metric_direction, settings.metric_tolerance
    asked = Asked(
        sample=read_npz(job.sample),
        states=read_states(settings.states or ()),
        labels=read_labels(job.labels),
        layout=settings.input_layout or NCHW,
        measuring=read_measuring(job.metric, job.data, direction, tolerance),
        keep_float=settings.keep_float or (),
        precision=complete(settings).precision,
    )
    return FactorySource(job.model, asked, job.weights, settings.strip_prefix or ""), settings


def _refuse_own_model(job: ExportJob, settings: ExportSettings) -> None:
    _refuse(
        job,
        f"a model of your own, PATH.py:FACTORY; '{job.model}' is not one",
        states=settings.states,
        metric=job.metric,
        labels=job.labels,
        input_layout=settings.input_layout not in (None, NCHW),
        metric_direction=settings.metric_direction,
        metric_tolerance=settings.metric_tolerance is not None,
    )


def _refuse(job: ExportJob, whose: str, **given: object) -> None:
    """`UsageError` for the first option in ``given`` that is there: it would do nothing."""
    for name, value in given.items():
        if value:
            raise UsageError(f"`{name}` is for {whose}", hint=job.without(name))
