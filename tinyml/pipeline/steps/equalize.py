"""``equalize``: the child that equalizes the captured program before it is written.

``python -m tinyml.pipeline.steps.equalize FOLDER``: FOLDER holds what
`tinyml.pipeline.sources.capture` left; program, counts and parity in it are those after the pass.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from tinyml.core.bundle import REFERENCE
from tinyml.core.files import write_json
from tinyml.pipeline.answers import reference
from tinyml.pipeline.sources.capture import FACTS, rows_of

NOTHING = (
    "nothing was equalized: no two consecutive layers whose scales differ let a factor through"
)


def equalized(folder: Path) -> int:
    """How many pairs of layers the child scaled."""
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return int(facts["passes"].get("equalize_layers", 0))


def main(arguments: list[str]) -> None:
    """Rewrite the program in the folder that ``arguments`` name."""
    from tinyml.export.capture import program
    from tinyml.export.capture.program import Captured
    from tinyml.export.rewrites.equalize_layers import equalize_layers

    folder = Path(arguments[0])
    captured = program.load(folder / program.PROGRAM, folder / program.NAMES)
    stages = dict(captured.stages)
    count = equalize_layers(captured.program, stages)
    made = Captured(captured.program, stages, captured.signature)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    facts["passes"][equalize_layers.__name__] = count
    rows = rows_of("equalized", made, reference.load(folder / REFERENCE), list(stages))
    facts["parity"] += [dataclasses.asdict(row) for row in rows]
    made.save(folder)
    write_json(folder / FACTS, facts)


if __name__ == "__main__":
    main(sys.argv[1:])
