"""Float32 files -> integer files: run on samples, planned by ranges, performed in children."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyml import registry
from tinyml.errors import UsageError
from tinyml.export import calibrate, flatbuffer, operators
from tinyml.export.choose_range import METHODS, Range
from tinyml.export.facts import load as load_facts
from tinyml.export.operators import FileGraph
from tinyml.export.plan import QuantPlan, exact_stages, kept_operators, plan_tensors
from tinyml.export.precision import integers_of
from tinyml.pipeline.calibration import SAMPLES, Calibration
from tinyml.pipeline.plan_precision import plan_file
from tinyml.pipeline.source import Report
from tinyml.spec import Array

BY_USER = "asked for"


@dataclass(frozen=True, slots=True)
class QuantizeJob:
    """How integers are chosen; ``keep``: stages that stay in float32."""

    precision: str
    ranges: str = "min-max"
    samples: int = SAMPLES
    keep: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.ranges not in METHODS:
            raise registry.unknown_name("method for ranges", self.ranges, METHODS)
        if self.samples < 1:
            raise UsageError(f"{self.samples} calibration samples: at least one is needed")


def plan_quantized(
    path: Path,
    facts: Path,
    job: QuantizeJob,
    calibration: Calibration | None,
    front_end: str | None,
    report: Report,
) -> QuantPlan:
    """Decide for the float32 file at ``path``, whose writer's facts lie at ``facts``."""
    known = load_facts(facts)
    graph = read_operators(path)
    keep = dict.fromkeys(job.keep, BY_USER)
    kept = kept_operators(graph, known.stages, known.owners, front_end, keep)
    ranges: Mapping[str, Range] = {}
    if calibration is not None:
        ranges = _ranges(path, graph, job, calibration, report)
    elif not integers_of(job.precision).CALIBRATED:
        ranges = {name: Range(0.0, 0.0) for name in _tensors(graph)}
    return QuantPlan(
        precision=job.precision,
        format=known.format,
        ranges=job.ranges if calibration else "each call",
        samples=len(calibration) if calibration else 0,
        data=calibration.what if calibration else "none",
        tensors=plan_tensors(graph.operators, ranges, kept),
        kept=kept,
        operations=len(graph.operators),
        stages=known.stages,
        exact=exact_stages(graph, known.stages, kept),
    )


def read_operators(path: Path) -> FileGraph:
    """The operators of one of our files."""
    if path.suffix == ".tflite":
        return operators.of_tflite(flatbuffer.unpack(path.read_bytes()))
    import onnx

    return operators.of_onnx(onnx.load(path))


def _tensors(graph: FileGraph) -> list[str]:
    named = (name for op in graph.operators for name in (*op.inputs, *op.outputs))
    return list(dict.fromkeys(named))


def _ranges(
    path: Path, graph: FileGraph, job: QuantizeJob, calibration: Calibration, report: Report
) -> dict[str, Range]:
    runtime: Any = registry.load("runtime", registry.RUNTIME_OF_FORMAT[path.suffix[1:]])
    read = runtime.reader(path, _tensors(graph))

    def values(title: str) -> Iterator[Mapping[str, Array]]:
        for done, inputs in enumerate(calibration, 1):
            yield read(inputs)
            report({"title": title, "done": done, "total": len(calibration)})

    title = f"calibrating {path.suffix[1:]}"
    return calibrate.ranges(job.ranges, values(title), values(f"{title}, histograms"))


def children(
    floats: Sequence[Path], work: Path, draft: Path, *, sparse: str
) -> Iterator[tuple[str, Sequence[Path | str]]]:
    """(module, arguments) of the child that performs the plan of each file of ``floats``."""
    dense = ["--dense"] if sparse == "off" else []
    for path in floats:
        fmt = path.suffix[1:]
        facts = work / f"{fmt}.json"
        yield (
            registry.QUANTIZERS[fmt],
            [path, plan_file(work, fmt), facts, draft / path.name, *dense],
        )
