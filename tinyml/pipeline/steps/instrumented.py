"""Stages that have no tensor in a shipped file, read from an instrumented model instead.

It lies in the export's scratch folder and is gone with it: the rows stay in the manifest under
an engine of their own, ``onnxruntime+instrumented`` or ``litert+instrumented``.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinyml.core.bundle import StageParity
from tinyml.core.parts import STAGE
from tinyml.export import parity
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.outputs.engines import Engine
from tinyml.pipeline.outputs.reference import Reference

SUFFIX = "+instrumented"


def compare_instrumented(
    found: Sequence[Engine], expected: Reference, work: Workspace
) -> tuple[StageParity, ...]:
    """Every stage that an instrumented model in ``work`` shows, on every case, unoptimised."""
    rows: list[StageParity] = []
    parts = expected.parts(STAGE)
    for engine in found:
        file, model = work.instrumented(engine.model.format), engine.model
        for case, inputs in expected.inputs.items() if model.instrumented else ():
            kept = [stage for stage in model.instrumented if stage in expected.stages[case]]
            got = engine.runtime.read_tensors(file, kept, inputs)
            name, wanted = engine.name + SUFFIX, expected.stages[case]
            rows += parity.compare(name, case, wanted, got, kept, engine.policy, parts=parts)
    return tuple(rows)
