"""Do the validation persons keep their label when an engine answers instead of PyTorch?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.bundle import Agreement, Disagreement
from tinyml.checkpoint import Checkpoint
from tinyml.decision import Decision, Floats, of_recordings
from tinyml.errors import DataError
from tinyml.models.training.predict import by_person, by_recording, cut_windows
from tinyml.pipeline.data import recording_set
from tinyml.pipeline.engines import Engine
from tinyml.spec import Array, Signature

Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Recordings:
    """The windows of every validation recording, cut once.

    ``windows`` [n, samples]; ``counts`` says how many belong to each recording in turn;
    ``persons`` is whose each recording is.
    """

    decision: Decision
    windows: Floats
    counts: tuple[int, ...]
    persons: tuple[str, ...]

    def cases(self, signature: Signature, count: int) -> dict[str, dict[str, Array]]:
        """``count`` parity cases, spread over the recordings."""
        name = signature.inputs[0].name
        chosen = np.linspace(0, len(self.windows) - 1, count).astype(int)
        return {f"validation-{i}": {name: self.windows[i][None]} for i in dict.fromkeys(chosen)}

    def save_windows(self, path: Path) -> None:
        """Write the windows for the child that asks PyTorch."""
        np.save(path, self.windows)

    def persons_of(self, probabilities: Floats) -> dict[str, Floats]:
        """[n, classes] of the windows -> person -> [classes]."""
        recordings = by_recording(self.decision, probabilities, self.counts)
        return by_person(self.decision, self.persons, recordings)


def validation_recordings(saved: Checkpoint, data: Path | None, report: Report) -> Recordings:
    """Windows of the persons that training held out; `DataError` when the data is not there."""
    held_out = set(saved.facts["split"]["validation"])
    loaded = recording_set(saved.recipe, data)
    if loaded.sha256 != saved.facts["data_sha256"]:
        raise DataError(
            f"this is not the data that the model was trained on: '{loaded.name}' has changed",
            hint="give the same data with --data, or judge parity alone with --without-data",
        )
    left_out = set(saved.facts["left_out"])
    found = [r for r in loaded.recordings if r.person in held_out and r.id not in left_out]
    decision = of_recordings(saved.decision)
    windows: list[Floats] = []
    for done, recording in enumerate(found, 1):
        windows.append(cut_windows(decision, recording))
        report({"title": "validation recordings", "done": done, "total": len(found)})
    return Recordings(
        decision=decision,
        windows=np.concatenate(windows),
        counts=tuple(len(part) for part in windows),
        persons=tuple(recording.person for recording in found),
    )


def agreement(recordings: Recordings, engine: Engine, reference: Path, report: Report) -> Agreement:
    """Every validation person's label: PyTorch's answers in ``reference`` against ``engine``'s."""
    wanted = np.load(reference)
    got = np.concatenate(list(_answers(recordings, engine, report)))
    decision = recordings.decision
    want_persons, got_persons = recordings.persons_of(wanted), recordings.persons_of(got)
    moved = tuple(
        Disagreement(
            person=person,
            want=decision.labels[decision.label(want)],
            got=decision.labels[decision.label(got_persons[person])],
            margin=decision.margin(want),
        )
        for person, want in want_persons.items()
        if decision.label(want) != decision.label(got_persons[person])
    )
    return Agreement(
        engine=engine.name,
        persons=len(want_persons),
        agreeing=len(want_persons) - len(moved),
        largest_probability_error=float(np.max(np.abs(wanted - got))),
        disagreements=moved,
    )


def _answers(recordings: Recordings, engine: Engine, report: Report) -> Iterable[Floats]:
    session = engine.runtime.open(engine.path)
    name, output = session.signature.inputs[0].name, session.signature.outputs[0].name
    total = len(recordings.windows)
    for done, window in enumerate(recordings.windows, 1):
        yield session.run({name: window[None]})[output]
        report({"title": f"labels with {engine.name}", "done": done, "total": total})
