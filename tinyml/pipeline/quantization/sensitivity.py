"""Why did accuracy fall: every layer in integers alone, and every layer alone in float32.

``python -m tinyml.pipeline.quantization.sensitivity WORK FORMAT FLOAT`` is the child that quantizes
the file again and again: WORK is a `Workspace` with the plan, the
writer's facts and samples; into it goes the analysis.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinyml.core.bundle import Parity
from tinyml.core.diagnosis import LayerSensitivity, SensitivityAnalysis, ranked, sensitivity
from tinyml.core.files import write_bytes
from tinyml.core.spec import Array, Arrays
from tinyml.core.tolerance import sqnr_db
from tinyml.core.typed_json import Unbounded
from tinyml.export.parity import GENERATED
from tinyml.export.quantization import plan
from tinyml.export.quantization.plan import QuantPlan, plan_tensors
from tinyml.export.quantization.sensitivity import layers
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.read import read_graph
from tinyml.pipeline.formats import format_of, runtime_for
from tinyml.pipeline.model_sources.calibration import Calibration, spread
from tinyml.pipeline.model_sources.workspace import Workspace

# So many samples are looked at for each layer.
FEW = 8
OTHER = "another layer is looked at"


def save_samples(
    work: Workspace, calibration: Calibration | None, cases: Mapping[str, Arrays]
) -> None:
    """What the layers are looked at on: calibration's samples, or the real cases without any."""
    if calibration is not None:
        rows = list(calibration)
    else:
        rows = [dict(own) for case, own in cases.items() if case not in GENERATED]
        rows = rows or [dict(own) for own in cases.values()]
    chosen = [rows[i] for i in spread(len(rows), FEW)]
    work.save_samples({name: np.stack([row[name] for row in chosen]) for name in chosen[0]})


def settled(parity: Parity, max_drop_points: float) -> bool:
    """Whether every stage holds and no engine moves more labels or metric than allowed.

    Where the user gave the metric's tolerance, that is what is allowed of it.
    """
    clearly_worse = any(own.lost(max_drop_points / 100) for own in parity.agreements)
    if parity.first_divergence is not None or clearly_worse:
        return False
    if not all(metric.holds for metric in parity.metrics):
        return False
    moved = [100 * (1 - own.agreeing / own.count) for own in parity.agreements]
    judged = [metric for metric in parity.metrics if metric.kind != "given"]
    lost = [metric.points_lost(parity.metrics[0].value) for metric in judged]
    return max([*moved, *lost], default=0.0) <= max_drop_points


def next_layer(
    found: Mapping[str, SensitivityAnalysis], keep: Mapping[str, str], stages: Sequence[str]
) -> str | None:
    """Of the stages not in ``keep``, the most sensitive in any format."""
    sensitive = {
        layer.layer
        for own in found.values()
        for layer in own.layers
        if sensitivity(layer, own.whole_db) > (0, 0.0)
    }
    open_to = sensitive.intersection(stages).difference(keep)
    return next((layer.layer for layer in ranked(*found.values()) if layer.layer in open_to), None)


def explain(
    path: Path, planned: QuantPlan, owners: Mapping[str, str], samples: Sequence[Arrays]
) -> SensitivityAnalysis:
    """Quantize the float32 file at ``path`` twice a layer and run it on ``samples``."""
    graph = read_graph(path, infer_shapes=False)
    tried = _Tried(path, planned, graph, samples)
    found = layers(graph, owners, planned.kept)
    every = {name for own in found.values() for name in own}
    rows = [
        LayerSensitivity(
            layer,
            tried.with_kept(every - set(own)),
            tried.with_kept(set(own)),
            len(own),
        )
        for layer, own in found.items()
    ]
    return SensitivityAnalysis(tuple(rows), tried.with_kept(set()))


class _Tried:
    """One file in many mixtures, each compared with it on the same samples."""

    def __init__(
        self, path: Path, planned: QuantPlan, graph: Graph, samples: Sequence[Arrays]
    ) -> None:
        self.path, self.planned, self.graph, self.samples = path, planned, graph, samples
        self.want = self._answers(path)

    def with_kept(self, more: set[str]) -> Unbounded:
        """SQNR in dB with the operators ``more`` in float32 too, as `sqnr_db` gives it."""
        kept = {**self.planned.kept, **dict.fromkeys(sorted(more), OTHER)}
        if len(kept) == len(self.graph.operators):
            return Unbounded(math.inf)
        seen = self.planned.quantized
        scheme = self.planned.activations
        tensors = (
            plan_tensors(self.graph.operators, seen, kept, scheme=scheme)
            if seen
            else self.planned.tensors
        )
        out = self.path.with_name(f"tried{self.path.suffix}")
        write_bytes(
            out,
            _quantized(self.path, replace(self.planned, kept=kept, tensors=tensors, io="float")),
        )
        return Unbounded(sqnr_db(self._answers(out), self.want))

    def _answers(self, path: Path) -> Array:
        runtime = runtime_for(path)
        session = runtime.open(path)
        rows = [session.run(sample) for sample in self.samples]
        return np.concatenate([row[name].ravel() for row in rows for name in sorted(row)])


def _quantized(path: Path, planned: QuantPlan) -> bytes:
    return format_of(path).quantize(path, planned)


def main(arguments: list[str]) -> None:
    """The child."""
    work, fmt, path = Workspace(Path(arguments[0])), arguments[1], Path(arguments[2])
    known = work.load_float_facts(fmt)
    arrays = work.load_samples()
    count = min(len(array) for array in arrays.values())
    samples = [{name: array[i] for name, array in arrays.items()} for i in range(count)]
    found = explain(path, plan.load(work.plan(fmt)), known.owners, samples)
    work.save_sensitivity(fmt, found)


if __name__ == "__main__":
    main(sys.argv[1:])
