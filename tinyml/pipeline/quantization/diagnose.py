"""A quantized file and its float32 file, run on samples, and what they show of the integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.diagnosis import Confusion, Finding
from tinyml.core.finite import is_finite
from tinyml.core.quant_params import QuantParams
from tinyml.core.spec import Array, Arrays
from tinyml.export.parity import GENERATED
from tinyml.export.quantization.findings import diagnose
from tinyml.export.quantization.findings.evidence import Evidence, Watched
from tinyml.export.quantization.joins import JOINS
from tinyml.export.quantization.plan import QuantPlan
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.read import read_graph
from tinyml.pipeline.formats import runtime_for
from tinyml.pipeline.model_sources.calibration import Calibration, spread
from tinyml.pipeline.model_sources.source import ExportedModel
from tinyml.pipeline.outputs.real_session import RealSession
from tinyml.pipeline.quantization.bias_effect import bias_effect
from tinyml.pipeline.quantization.file_layers import channel_axes, layers
from tinyml.runtimes.base import Session

# Of calibration's samples: classes are counted on many, every tensor is read on few.
MANY, FEW = 100, 16


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs by name: ``calibrated``, a spread of what chose the ranges; ``real``, what did not."""

    calibrated: Sequence[Arrays]
    real: Sequence[Arrays]

    @property
    def few(self) -> list[Arrays]:
        """For what takes time."""
        return [*_spread(self.calibrated, FEW), *self.real]

    @property
    def all(self) -> list[Arrays]:
        return [*self.calibrated, *self.real]


def samples_of(calibration: Calibration | None, cases: Mapping[str, Arrays]) -> Samples:
    """Calibration's, and the real ones among parity's cases."""
    rows = list(calibration) if calibration is not None else []
    real = [own for case, own in cases.items() if case not in GENERATED]
    return Samples(_spread(rows, MANY), real)


def _spread(rows: Sequence[Arrays], count: int) -> list[Arrays]:
    return [rows[i] for i in spread(len(rows), count)]


def diagnosed(
    floats: Path,
    integers: Path,
    planned: QuantPlan,
    owners: Mapping[str, str],
    samples: Samples,
    exported: ExportedModel,
    io_params: Mapping[str, QuantParams],
) -> tuple[tuple[Finding, ...], Confusion | None]:
    """The findings in the file ``integers``, made from ``floats``, and its classes next to it.

    ``owners``: tensor of the float32 file -> the innermost stage that makes it; ``io_params``:
    inputs and outputs of ``integers`` that are such.
    """
    graph = read_graph(floats)
    evidence = Evidence(
        plan=planned,
        layers=list(layers(graph, owners)),
        tensors=_watched(floats, graph, planned, samples.few),
        stages=owners,
        classes=confusion(floats, integers, samples.all, exported, io_params),
        bias=bias_effect(floats, integers, planned, samples.few, io_params),
        joins=[own for own in graph.operators if own.op in JOINS],
    )
    return diagnose(evidence), evidence.classes


def _watched(
    path: Path, graph: Graph, planned: QuantPlan, samples: Sequence[Arrays]
) -> dict[str, Watched]:
    """Tensor -> its values by channel in the float32 file at ``path``."""
    axes, dtype = channel_axes(graph), planned.activations
    ranges = planned.quantized
    found = {name: Watched(axes[name], own, dtype) for name, own in ranges.items() if name in axes}
    if not found:
        return {}
    read = _runtime(path).reader(path, list(found))
    for sample in samples:
        for name, value in read(sample).items():
            found[name].see(value)
    return {name: own for name, own in found.items() if own.values}


def confusion(
    floats: Path,
    integers: Path,
    samples: Sequence[Arrays],
    exported: ExportedModel,
    io_params: Mapping[str, QuantParams],
) -> Confusion | None:
    """Predicted classes of both files.

    ``None`` for a model that does not classify, or whose outputs are not finite on a sample.
    """
    first = exported.signature.outputs[0]
    if len(first.shape) != 2 or first.shape[0] != 1 or first.shape[1] < 2 or not samples:
        return None
    names = exported.labels or tuple(str(i) for i in range(first.shape[1]))
    if len(names) != first.shape[1]:
        return None
    before = _classes(_runtime(floats).open(floats), samples, exported)
    after = _classes(RealSession(_runtime(integers).open(integers), io_params), samples, exported)
    if before is None or after is None:
        return None
    pairs = Counter(zip(before, after, strict=True))
    rows = sorted((want, got, count) for (want, got), count in pairs.items())
    return Confusion(tuple(names), tuple(rows))


def _classes(
    session: Session, samples: Sequence[Arrays], exported: ExportedModel
) -> list[int] | None:
    """The class of each sample, by the model's own decision where it has one."""
    output, processor = exported.signature.outputs[0].name, exported.processor

    def chosen(answer: Array) -> int:
        return int(processor.postprocess(answer) if processor else np.argmax(answer))

    found = [session.run(sample)[output][0] for sample in samples]
    return list(map(chosen, found)) if all(map(is_finite, found)) else None


def _runtime(path: Path) -> Any:
    return runtime_for(path)
