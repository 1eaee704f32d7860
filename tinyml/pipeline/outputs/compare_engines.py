"""What every engine computes against what PyTorch computed: rows of parity."""

from __future__ import annotations

from collections.abc import Sequence

from tinyml.core.bundle import JUDGED, StageParity
from tinyml.core.errors import ValidationError
from tinyml.core.events import Progress, Report
from tinyml.core.parts import OUTPUT, STAGE
from tinyml.export import parity
from tinyml.pipeline.outputs.engines import Engine
from tinyml.pipeline.outputs.reference import Reference


def compare_engines(
    found: Sequence[Engine], expected: Reference, order: Sequence[str], report: Report
) -> tuple[StageParity, ...]:
    """Every engine on every case: stages of the shipped file, then outputs as users get them.

    A stage that the reference does not hold for a case is not judged there, nor any by an engine
    that does not read inside.
    """
    rows: list[StageParity] = []
    total = len(found) * len(expected.inputs)
    parts, output_parts = expected.parts(STAGE), expected.parts(OUTPUT)
    for engine in found:
        session = engine.open()
        for case, inputs in expected.inputs.items():
            inner = order if engine.runtime.reads_inside else ()
            kept = [stage for stage in inner if stage in expected.stages[case]]
            inside = engine.stages(inputs) if kept else {}
            wanted = expected.stages[case]
            mine: list[StageParity] = []
            for stage in kept:
                policy = engine.policy_of(stage)
                step = engine.step_of(stage)
                mine += parity.compare(
                    engine.name, case, wanted, inside, [stage], policy, step, parts
                )
            outputs = expected.outputs[case]
            name, got = engine.optimised, session.run(inputs)
            for output in outputs:
                step = engine.step_of(output)
                mine += parity.compare(
                    *(name, case, outputs, got, [output], engine.policy, step, output_parts),
                    ties=expected.ties.get(case),
                )
            rows += mine if engine.judges(case, expected.inputs) else parity.only_shown(mine)
            done = found.index(engine) * len(expected.inputs) + list(expected.inputs).index(case)
            report(Progress("parity", done + 1, total))
    _require_judged(found, rows)
    return tuple(rows)


def _require_judged(found: Sequence[Engine], rows: Sequence[StageParity]) -> None:
    """`ValidationError` for a file of which no output was compared: that must never pass."""
    judged = {row.engine for row in rows if row.verdict in JUDGED}
    for engine in found:
        if engine.optimised not in judged:
            raise ValidationError(
                f"{engine.model.path}: no output was compared with PyTorch's",
                hint="the reference holds no case with outputs: export the model again",
            )
