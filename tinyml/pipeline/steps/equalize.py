"""``equalize``: the child that equalizes the captured program before it is written.

``python -m tinyml.pipeline.steps.equalize FOLDER``: FOLDER is the `Workspace` that the capture
left; its program and the passes and parity in its record are those after the rewrite.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from tinyml.pipeline.model_sources.captured import rows_of
from tinyml.pipeline.model_sources.workspace import Workspace

NOTHING = (
    "nothing was equalized: no two consecutive layers whose scales differ let a factor through"
)


def equalized(work: Workspace) -> int:
    """How many pairs of layers the child scaled."""
    return work.load_capture_record().passes.get("equalize_layers", 0)


def main(arguments: list[str]) -> None:
    """Rewrite the program in the folder that ``arguments`` name."""
    from tinyml.export.capture.program import Captured
    from tinyml.export.rewrites.equalize_layers import equalize_layers

    work = Workspace(Path(arguments[0]))
    captured, record = work.load_program(), work.load_capture_record()
    stages = dict(captured.stages)
    count = equalize_layers(captured.program, stages).count
    made = Captured(captured.program, stages, captured.signature)
    rows = rows_of("equalized", made, work.load_reference(), list(stages))
    work.save_program(made)
    passes = {**record.passes, equalize_layers.__name__: count}
    work.save_capture_record(replace(record, passes=passes, parity=(*record.parity, *rows)))


if __name__ == "__main__":
    main(sys.argv[1:])
