"""Does what was held out keep its label when an engine answers instead of PyTorch?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.bundle import Agreement, Disagreement
from tinyml.decision import Floats
from tinyml.pipeline.answers.engines import Engine
from tinyml.pipeline.answers.held_out import HeldOut

Report = Callable[[Mapping[str, Any]], None]


def agreement(held_out: HeldOut, engine: Engine, reference: Path, report: Report) -> Agreement:
    """Every person's or image's label: PyTorch's in ``reference`` against ``engine``'s."""
    wanted = np.load(reference)
    got = np.concatenate(list(_answers(held_out, engine, report)))
    decision = held_out.decision
    want_units, got_units = held_out.of_unit(wanted), held_out.of_unit(got)
    moved = tuple(
        Disagreement(
            name=name,
            want=decision.labels[decision.label(want)],
            got=decision.labels[decision.label(got_units[name])],
            margin=decision.margin(want),
        )
        for name, want in want_units.items()
        if decision.label(want) != decision.label(got_units[name])
    )
    return Agreement(
        engine=engine.name,
        unit=held_out.unit,
        count=len(want_units),
        agreeing=len(want_units) - len(moved),
        largest_probability_error=float(np.max(np.abs(wanted - got))),
        disagreements=moved,
    )


def _answers(held_out: HeldOut, engine: Engine, report: Report) -> Iterator[Floats]:
    session = engine.open()
    name, output = session.signature.inputs[0].name, session.signature.outputs[0].name
    total = len(held_out)
    for at in range(total):
        yield session.run({name: held_out.inputs(at, at + 1)})[output]
        report({"title": f"labels with {engine.name}", "done": at + 1, "total": total})
