"""Float32 files -> integer files: run on samples, planned by ranges, performed in children."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tinyml.core.cpu_features import instruction_set
from tinyml.core.events import Report
from tinyml.core.export_settings import FLOAT, NEAREST, ExportSettings
from tinyml.core.plan_record import NO_RANGES
from tinyml.core.spec import Array
from tinyml.export.quantization.calibration import choose_ranges
from tinyml.export.quantization.infinity import endless_masks, endless_pads
from tinyml.export.quantization.keep_float import (
    check_quantized_io,
    exact_stages,
    kept_operators,
    probabilities,
)
from tinyml.export.quantization.plan import (
    EACH_CALL,
    NEW_RANGES,
    NO_WEIGHT,
    SEEN,
    QuantPlan,
    packed,
    plan_tensors,
    plan_weights,
)
from tinyml.export.quantization.precision import find_precision
from tinyml.export.quantization.ranges import Range
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.read import read_graph
from tinyml.pipeline.formats import format_of, runtime_for
from tinyml.pipeline.model_sources.calibration import Calibration
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.quantization.calibration_cache import cached
from tinyml.runtimes.base import READER_THREADS

BY_USER = "asked for"


def plan_quantized(
    path: Path,
    settings: ExportSettings,
    keep: Mapping[str, str],
    ranges: Mapping[str, Range],
    calibration: Calibration | None,
    front_end: str | None,
    shifts: Mapping[str, Array] | None = None,
    uneven: Sequence[str] = (),
    *,
    x86: bool = False,
) -> QuantPlan:
    """Decide for the float32 file at ``path``, in a `Workspace`.

    ``keep``: stage -> why it stays in float32; ``ranges``: of `seen`; ``shifts``: of
    `tinyml.pipeline.quantization.bias_shift`, or of `adapt_weights`, where biases are corrected;
    ``uneven``: of `tinyml.pipeline.quantization.uneven_outputs`; ``x86``: the target is one.
    """
    known = Workspace(path.parent).load_float_facts(format_of(path).name)
    graph = read_graph(path, infer_shapes=False)
    precision = find_precision(settings.precision)
    alone = precision.weights_only
    kept = kept_operators(
        graph,
        known.stages,
        known.owners,
        front_end,
        keep,
        io=settings.io,
        precision=precision,
        ranges=ranges,
        uneven_outputs=uneven,
    )
    if settings.io != FLOAT:
        check_quantized_io(graph, kept, ranges, uneven, settings.io)
        ranges = {**ranges, **probabilities(graph)}
    return QuantPlan(
        precision=settings.precision,
        format=known.format,
        ranges=settings.ranges if calibration else NO_RANGES if alone else NEW_RANGES,
        samples=len(calibration) if calibration else 0,
        data=calibration.what if calibration else "none",
        tensors=plan_weights(graph.operators, kept)
        if alone
        else plan_tensors(
            graph.operators,
            ranges,
            kept,
            reason=SEEN if calibration else EACH_CALL,
            scheme=precision.activations_in(known.format, settings.io, x86=x86),
        ),
        kept=kept,
        operations=len(graph.operators),
        stages=known.stages,
        exact=exact_stages(graph, known.stages, {**kept, **_unweighted(graph, alone)}),
        io=settings.io,
        instructions=instruction_set() if calibration else "",
        threads=READER_THREADS if calibration else 0,
        weight_scales=weight_scales(settings, known.format),
        bias_shifts={name: packed(own) for name, own in (shifts or {}).items() if name not in kept},
        rounding=settings.rounding if shifts else NEAREST,
    )


def _unweighted(graph: Graph, alone: bool) -> dict[str, str]:
    """Operators that integers have no part in where weights ``alone`` are such."""
    return {own.name: NO_WEIGHT for own in graph.operators if alone and not own.weight}


def weight_scales(settings: ExportSettings, fmt: str) -> str:
    """Those that ``settings`` ask for, where the format's quantizer has a choice."""
    one = fmt in find_precision(settings.precision).one_scale
    return "per-tensor" if one else settings.weight_scales


def _tensors(graph: Graph) -> list[str]:
    named = (name for op in graph.operators for name in (*op.inputs, *op.outputs))
    return list(dict.fromkeys(named))


def seen(
    path: Path, settings: ExportSettings, calibration: Calibration | None, report: Report
) -> dict[str, Range]:
    """Tensor of the file -> its range on the samples; anything without calibration."""
    graph = read_graph(path, infer_shapes=False)
    names = _tensors(graph)
    if calibration is None:
        return dict.fromkeys(names, Range(0.0, 0.0))
    runtime = runtime_for(path)
    read = runtime.reader(path, names)

    def values(title: str) -> Iterator[Mapping[str, Array]]:
        for inputs in calibration.told(title, report):
            yield read(inputs)

    title = f"calibrating {format_of(path).name}"
    conditions: dict[str, str | int] = {
        "ranges": settings.ranges,
        "runtime": f"{runtime.name} {runtime.version()}",
        "instructions": instruction_set(),
        "threads": READER_THREADS,
    }
    return cached(
        path,
        calibration,
        conditions,
        lambda: choose_ranges(
            settings.ranges,
            values(title),
            values(f"{title}, histograms"),
            endless_pads(graph) | endless_masks(graph),
        ),
        report,
    )
