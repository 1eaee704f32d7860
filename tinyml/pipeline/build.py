"""``tinyml.build_bundle``: an export of a module that a program holds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyml.core.bundle import Bundle
from tinyml.core.errors import UsageError
from tinyml.core.events import Report, silent
from tinyml.core.export_job import ExportJob
from tinyml.core.export_settings import NCHW, ExportSettings
from tinyml.core.settings import complete, settings_of, types_of
from tinyml.core.spec import Arrays
from tinyml.pipeline.export import bundle_from
from tinyml.pipeline.model_sources.metric import Function, Measuring
from tinyml.pipeline.model_sources.user_model import (
    Asked,
    ModuleSource,
    check_metric_given,
    read_states,
)

if TYPE_CHECKING:
    from torch import nn


def build_bundle(
    module: nn.Module,
    sample_inputs: Mapping[str, Any],
    target: str = "rpi",
    *,
    out: str | Path,
    name: str | None = None,
    labels: Sequence[str] = (),
    calibration: Arrays | None = None,
    metric: str | Function | None = None,
    data: Arrays | None = None,
    force: bool = False,
    keep_failed: str | Path | None = None,
    report: Report | None = None,
    **settings: Any,
) -> Bundle:
    """Convert, check and bundle ``module``, which is captured here in eval mode, unchanged after.

    sample_inputs  arrays or tensors by input name: shapes and types become the signature
    labels         names along the last axis of an output
    calibration    inputs by name with a leading axis of samples, for a quantized precision
    metric         ``metric(predictions, targets) -> float``, with ``data``: inputs by name
                   with a leading axis of samples, and ``targets``
    report         receives progress: mappings with ``text``, or ``title``, ``done``, ``total``
    settings       those of `tinyml.core.export_settings.ExportSettings`, the options of
                   ``tinyml export``; ``states`` may be a mapping from input to output

    Raises `UsageError`, `InputError`, `ExportError`, or `ValidationError` out of
    tolerance; then there is no bundle.
    """
    import numpy as np

    if isinstance(states := settings.get("states"), Mapping):
        settings["states"] = tuple(f"{into}={out_of}" for into, out_of in states.items())
    chosen = ExportSettings(**settings)
    _check_applicable(chosen)
    if (metric is None) != (data is None):
        raise UsageError("`metric` and `data` need each other")
    direction, tolerance = chosen.metric_direction, chosen.metric_tolerance
    check_metric_given(metric, direction, tolerance)
    measuring = None
    if metric is not None and data is not None:
        arrays = {n: np.asarray(a) for n, a in data.items()}
        measuring = Measuring(metric, arrays, direction, tolerance)
    asked = Asked(
        sample={name: np.asarray(array) for name, array in sample_inputs.items()},
        states=read_states(chosen.states or ()),
        labels=tuple(labels),
        layout=chosen.input_layout or NCHW,
        measuring=measuring,
        keep_float=chosen.keep_float or (),
        precision=complete(chosen).precision,
    )
    model = name or type(module).__name__
    kept = Path(keep_failed) if keep_failed is not None else None
    job = ExportJob(model, target, Path(out), force=force, keep_failed=kept, settings=chosen)
    samples = None
    if calibration is not None:
        samples = {name: np.asarray(array) for name, array in calibration.items()}
    source = ModuleSource(module, model, asked, samples)
    return bundle_from(job, source, chosen, report or silent)


def _check_applicable(chosen: ExportSettings) -> None:
    """`UsageError` for what a module in memory has no use for."""
    for name in ("without_data", "strip_prefix"):
        if getattr(chosen, name):
            raise UsageError(
                f"`{name}` is for a model that comes from files", hint=f"omit `{name}`"
            )


def _with_settings(function: Callable[..., Any]) -> inspect.Signature:
    """The signature with a parameter for each setting, for `help` and editors."""
    own = inspect.signature(function)
    fixed = [one for one in own.parameters.values() if one.kind != inspect.Parameter.VAR_KEYWORD]
    kinds = types_of(ExportSettings)
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(name, keyword, default=None, annotation=kinds[name])
        for name in settings_of(ExportSettings)
    ]
    return own.replace(parameters=[*fixed, *options])


build_bundle.__signature__ = _with_settings(build_bundle)  # type: ignore[attr-defined]
