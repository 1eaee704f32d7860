"""The child that decides what stays in float32 in each float16 file.

``python -m tinyml.pipeline.steps.plan_precision FOLDER FORMAT...``: FOLDER is a
`Workspace` with a program and a reference; into it go the plans, which the writers perform.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tinyml.pipeline.formats import named
from tinyml.pipeline.model_sources.workspace import Workspace


def main(arguments: list[str]) -> None:
    """Plan every format named."""
    from tinyml.export.quantization import fp16_planner

    work = Workspace(Path(arguments[0]))
    known, captured = work.load_reference(), work.load_program()
    for fmt in arguments[1:]:
        made = fp16_planner.plan(
            captured,
            fmt,
            known.inputs,
            known.stages,
            known.outputs,
            ties=known.ties,
            weights_only=not named(fmt).computes_float16,
        )
        made.save(work.plan(fmt))


if __name__ == "__main__":
    main(sys.argv[1:])
