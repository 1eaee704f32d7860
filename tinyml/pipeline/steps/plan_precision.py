"""The child that decides what a precision does to each file, before anything is converted.

``python -m tinyml.pipeline.steps.plan_precision FOLDER PRECISION FORMAT...``: FOLDER holds
``program.pt2``, ``capture.json`` and ``reference.safetensors``; into it go
``plan-FORMAT.json``, which the writers perform.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tinyml.core import registry
from tinyml.core.bundle import REFERENCE
from tinyml.pipeline.answers import reference


def plan_file(folder: Path, fmt: str) -> Path:
    """Where the plan for ``fmt`` lies."""
    return folder / f"plan-{fmt}.json"


def main(arguments: list[str]) -> None:
    """Plan every format named."""
    from tinyml.export.capture import program

    folder, name = Path(arguments[0]), arguments[1]
    precision: Any = registry.load("precision", name)
    known = reference.load(folder / REFERENCE)
    captured = program.load(folder / program.PROGRAM, folder / program.NAMES)
    for fmt in arguments[2:]:
        plan = precision.plan(captured, fmt, known.inputs, known.stages, known.outputs)
        plan.save(plan_file(folder, fmt))


if __name__ == "__main__":
    main(sys.argv[1:])
