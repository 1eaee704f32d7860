"""``--correct-bias``: how far rounding a layer's weights moves the mean of what it gives.

Bias correction: Nagel et al. 2019 (arXiv 1906.04721), section 4.2, equation 17; the means
are those of samples, as in Nagel et al. 2021 (arXiv 2106.08295), section 3.3, not of a
normalization's parameters. The shift of an output channel is

    E[W_q x] - E[W x] = E[(W_q - W) x]

over samples and positions, the zeros of padding included, since the runtime itself computes
(W_q - W) x next to each layer of a copy of the float32 file. x is what the layer reads in
float32, not what integer layers before it leave: the shifts of all layers come from one run
and do not depend on which others stay in float32. Once the layers before are corrected, too,
the means that a layer reads are those of float32, up to what bends on the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tinyml.core.events import Message, Report
from tinyml.core.export_settings import ExportSettings
from tinyml.core.files import write_bytes
from tinyml.core.spec import Array, Arrays
from tinyml.export.formats.bias_editor import BiasEditor
from tinyml.pipeline.formats import format_of, runtime_for
from tinyml.pipeline.model_sources.calibration import Calibration
from tinyml.pipeline.quantization.quantize import weight_scales

NOTHING = "no bias was corrected: there is no convolution or linear layer with a stored weight"


def asked_for(
    path: Path, settings: ExportSettings, calibration: Calibration | None, report: Report
) -> dict[str, Array]:
    """`bias_shifts` of the float32 file at ``path`` where ``settings`` ask for them, reported."""
    if not settings.correct_bias or calibration is None:
        return {}
    fmt = format_of(path).name
    samples = calibration.told(f"means of {fmt}", report)
    found = bias_shifts(path, weight_scales(settings, fmt), samples)
    if not found:
        report(Message(NOTHING))
    return found


def bias_shifts(path: Path, scales: str, samples: Iterable[Arrays]) -> dict[str, Array]:
    """Layer of the float32 file at ``path``, by its output -> [channels] E[(W_q - W) x].

    ``scales`` of the weights: ``per-channel`` or ``per-tensor``. A copy of the file lies
    next to it afterwards.
    """
    editor = editor_of(path)
    data, extra = editor.with_rounding_errors(path.read_bytes(), scales)
    if not extra:
        return {}
    copy = path.with_name(f"errors{path.suffix}")
    write_bytes(copy, data)
    runtime = runtime_for(path)
    read = runtime.reader(copy, list(extra.values()))
    axis = editor.CHANNEL_AXIS
    assert axis is not None, "a convolution has an axis of channels"
    means = channel_means((read(sample) for sample in samples), axis)
    return {output: means[name] for output, name in extra.items()}


def editor_of(path: Path) -> BiasEditor:
    """The module that edits biases and weights of the format of ``path``."""
    return format_of(path).bias_editor()


def channel_means(values: Iterable[Arrays], axis: int) -> dict[str, Array]:
    """Tensor -> [channels] its mean over samples and all axes but ``axis``, the channels'."""
    totals: dict[str, Array] = {}
    count = 0
    for sample in values:
        count += 1
        for name, value in sample.items():
            rows = np.moveaxis(value, axis, -1).reshape(-1, value.shape[axis])
            totals[name] = totals.get(name, 0.0) + rows.mean(axis=0, dtype=np.float64)
    return {name: total / count for name, total in totals.items()}
