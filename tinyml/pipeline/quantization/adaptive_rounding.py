"""``--rounding adaptive``: the integers of each weight by what its layer reads on the samples.

What it is and where it comes from: `tinyml.export.quantization.adaptive_rounding`. One run of
the float32 file gives the moments of what every layer reads; as with biases (`bias_shift`),
that is what it reads in float32. The weights lie next to the file afterwards, since
a plan goes into the bundle's manifest; the mean that their errors add is taken from the biases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from tinyml.core.events import Message, Progress, Report
from tinyml.core.export_settings import ExportSettings
from tinyml.core.spec import Array, Arrays
from tinyml.export.quantization.adaptive_rounding import MOST_INPUTS, Moments, adapted
from tinyml.export.quantization.weight_rounding import save_adapted
from tinyml.pipeline.formats import format_of, runtime_for
from tinyml.pipeline.model_sources.calibration import Calibration
from tinyml.pipeline.quantization.bias_shift import editor_of
from tinyml.pipeline.quantization.quantize import weight_scales

NOTHING = "no weight was adapted: there is no convolution or linear layer to quantize"


def adapt(
    path: Path,
    settings: ExportSettings,
    kept: Collection[str],
    calibration: Calibration,
    report: Report,
) -> dict[str, Array]:
    """Adapt the weights of the float32 file at ``path`` next to it, but for the operators ``kept``.

    Returns layer, by its output -> [channels] what to take from its bias.
    """
    fmt = format_of(path).name
    found = _moments(path, kept, calibration.told(f"moments of {fmt}", report), report)
    scales = weight_scales(settings, fmt)
    weights: dict[str, Array] = {}
    shifts: dict[str, Array] = {}
    for done, own in enumerate(found, 1):
        name = own.product.output
        weights[name], shifts[name] = adapted(own.product, own, scales)
        report(Progress(f"rounding {fmt}", done, len(found)))
    save_adapted(path, weights)
    if not found:
        report(Message(f"{fmt}: {NOTHING}"))
    return shifts


def _moments(
    path: Path, kept: Collection[str], samples: Iterable[Arrays], report: Report
) -> list[Moments]:
    """Of every layer that becomes integers and has few enough inputs; the others are reported."""
    layers = [own for own in editor_of(path).products(path.read_bytes()) if own.output not in kept]
    wide = [own.output for own in layers if own.inputs > MOST_INPUTS]
    if wide:
        line = f"rounded to nearest, as sums of more than {MOST_INPUTS:,}: {', '.join(wide)}"
        report(Message(f"{format_of(path).name}: {line}"))
    found = [Moments(own) for own in layers if own.inputs <= MOST_INPUTS]
    if not found:
        return []
    runtime = runtime_for(path)
    read = runtime.reader(path, sorted({own.product.source for own in found}))
    for sample in samples:
        values = read(sample)
        for own in found:
            own.see(values[own.product.source])
    return found
