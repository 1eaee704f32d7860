"""``tinyml.build_bundle``: the door for a module that a program holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyml.core.bundle import Bundle
from tinyml.core.spec import Arrays
from tinyml.pipeline.export import bundle_from
from tinyml.pipeline.sources.export_job import ExportJob
from tinyml.pipeline.sources.metric import Function, Measuring
from tinyml.pipeline.sources.source import Report
from tinyml.pipeline.sources.user_model import Asked, ModuleSource, check_metric_given

if TYPE_CHECKING:
    from torch import nn


def build_bundle(
    module: nn.Module,
    sample_inputs: Mapping[str, Any],
    target: str = "rpi",
    formats: Sequence[str] = ("onnx", "tflite"),
    *,
    out: str | Path,
    name: str | None = None,
    states: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
    input_layout: str = "nchw",
    precision: str = "fp32",
    sparse: str = "auto",
    io: str = "float",
    metric: str | Function | None = None,
    data: Arrays | None = None,
    metric_direction: str | None = None,
    metric_tolerance: float | None = None,
    force: bool = False,
    keep_failed: Path | None = None,
    timeout_s: float = 600.0,
    memory_mb: int | None = None,
    report: Report | None = None,
) -> Bundle:
    """Convert ``module``, check it against PyTorch and write a bundle.

    The module is captured in eval mode in this process, and unchanged afterwards.

    sample_inputs  arrays or tensors by input name: shapes and types become the signature
    states         input -> output that is that input at the next call
    labels         names along the last axis of an output
    input_layout   ``nhwc``: 4-D inputs come channels last, in the sample too
    precision      as in ``tinyml export``, as are ``sparse`` and ``io``
    metric         ``metric(predictions, targets) -> float``, with ``data``: inputs by name
                   with a leading axis of samples, and ``targets``
    metric_direction  ``higher`` or ``lower`` is better; needed unless the metric is a share of
                   samples, or its name says it, as accuracy does
    metric_tolerance  how much worse than PyTorch's it may be; default: one sample of all or 1% of
                   a share, 1% of any other
    report         is told of progress, as mappings with ``text`` or ``title``, ``done``, ``total``

    Raises `UsageError`, `InputError`, `ExportError`, or `ValidationError` out of
    tolerance; then there is no bundle.
    """
    import numpy as np

    from tinyml.core.errors import UsageError

    if (metric is None) != (data is None):
        raise UsageError("metric and data need each other")
    check_metric_given(metric, metric_direction, metric_tolerance)
    measuring = None
    if metric is not None and data is not None:
        arrays = {n: np.asarray(a) for n, a in data.items()}
        measuring = Measuring(metric, arrays, metric_direction, metric_tolerance)
    asked = Asked(
        sample={name: np.asarray(array) for name, array in sample_inputs.items()},
        states=dict(states or {}),
        labels=tuple(labels),
        layout=input_layout,
        measuring=measuring,
    )
    called = name or type(module).__name__
    job = ExportJob(
        model=called,
        target=target,
        out=Path(out),
        formats=tuple(formats),
        precision=precision,
        sparse=sparse,
        io=io,
        force=force,
        keep_failed=keep_failed,
        timeout_s=timeout_s,
        memory_mb=memory_mb,
    )
    return bundle_from(job, ModuleSource(module, called, asked), report or _silent)


_silent: Callable[[Mapping[str, Any]], None] = lambda event: None  # noqa: E731
