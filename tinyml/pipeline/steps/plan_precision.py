"""The child that decides what stays in float32 in each float16 file.

``python -m tinyml.pipeline.steps.plan_precision FOLDER FORMAT...``: FOLDER holds
``program.pt2``, ``capture.json`` and ``reference.safetensors``; into it go
``plan-FORMAT.json``, which the writers perform.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tinyml.core.bundle import REFERENCE
from tinyml.pipeline.answers import reference
from tinyml.pipeline.formats import named


def plan_file(folder: Path, fmt: str) -> Path:
    """Where the plan for ``fmt`` lies."""
    return folder / f"plan-{fmt}.json"


def main(arguments: list[str]) -> None:
    """Plan every format named."""
    from tinyml.export.capture import program
    from tinyml.export.quantization import fp16_planner

    folder = Path(arguments[0])
    known = reference.load(folder / REFERENCE)
    captured = program.load(folder / program.PROGRAM, folder / program.NAMES)
    for fmt in arguments[1:]:
        made = fp16_planner.plan(
            captured,
            fmt,
            known.inputs,
            known.stages,
            known.outputs,
            weights_only=not named(fmt).computes_float16,
        )
        made.save(plan_file(folder, fmt))


if __name__ == "__main__":
    main(sys.argv[1:])
