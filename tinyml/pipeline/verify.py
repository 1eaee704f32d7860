"""Is a bundle what was written, and does it still compute what PyTorch computed?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyml import bundle as bundles
from tinyml.bundle import Parity, StageParity
from tinyml.export import parity
from tinyml.pipeline.answers import reference
from tinyml.pipeline.answers.engines import OPTIMISED, Engine, installed
from tinyml.pipeline.answers.reference import Reference

Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked: unchanged files, parity rows, and engines that are not installed."""

    files: int
    parity: Parity
    skipped: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "parity": self.parity.to_json(),
            "skipped": list(self.skipped),
        }


def verify(folder: Path, report: Report) -> Verified:
    """Re-hash everything, then repeat parity on every runtime that is installed.

    Raises `ValidationError` (changed file, first diverging stage), `BundleError`, or
    `MissingExtraError` when no runtime is installed at all.
    """
    bundle = bundles.read(folder)
    bundle.check_files()
    ready, skipped = installed(folder, bundle.models)
    expected = reference.load(folder / bundles.REFERENCE)
    rows = prove(ready, expected, bundle.stages, report)
    checked = Parity(stages=rows)
    parity.gate(checked)
    return Verified(len(bundle.files), checked, skipped)


def prove(
    found: Sequence[Engine], expected: Reference, order: Sequence[str], report: Report
) -> tuple[StageParity, ...]:
    """Every engine on every case: stages of the shipped file, then outputs as users get them.

    A stage that the reference does not hold for a case is not judged there.
    """
    rows: list[StageParity] = []
    total = len(found) * len(expected.inputs)
    for engine in found:
        session = engine.open()
        for case, inputs in expected.inputs.items():
            kept = [stage for stage in order if stage in expected.stages[case]]
            inside = engine.stages(inputs) if kept else {}
            wanted = expected.stages[case]
            mine: list[StageParity] = []
            for stage in kept:
                policy = engine.policy_of(stage)
                step = engine.step_of(stage)
                mine += parity.compare(engine.name, case, wanted, inside, [stage], policy, step)
            outputs = expected.outputs[case]
            name, got = OPTIMISED[engine.name], session.run(inputs)
            for output in outputs:
                step = engine.step_of(output)
                mine += parity.compare(name, case, outputs, got, [output], engine.policy, step)
            rows += mine if engine.judges(case, expected.inputs) else parity.only_shown(mine)
            done = found.index(engine) * len(expected.inputs) + list(expected.inputs).index(case)
            report({"title": "parity", "done": done + 1, "total": total})
    return tuple(rows)
