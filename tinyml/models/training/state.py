"""What a killed run needs to continue as if nothing had happened: one file, replaced whole.

A run is a list of parts (each inner fold, the final fit), each a list of epochs. All that
is random in an epoch follows from the recipe's seed, the part and the epoch's number, so
the state is the weights, the optimizer's moments, and the outputs of finished parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.checkpoint import KEY, read_safetensors
from tinyml.core.errors import CheckpointError
from tinyml.core.files import canonical_json, write_bytes
from tinyml.core.spec import Array
from tinyml.core.typed_json import from_json, parse_json, to_json

# One epoch of a curve; `epoch` is whole, and stays so when it is read back.
Row = dict[str, int | float]
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """Which run a state belongs to; `threads` and `instruction_set` are where it ran."""

    job: str
    recipe: str
    data_sha256: str
    threads: int
    instruction_set: str


@dataclass(frozen=True, slots=True)
class StateHeader:
    """What the file's header holds, next to its schema number; fields as in `TrainState`."""

    identity: Identity
    curves: dict[str, list[Row]]
    part: str
    epoch: int


@dataclass(slots=True)
class TrainState:
    """The run so far.

    finished  part -> probabilities [recordings, classes] of its validation subjects
    curves    part -> one row per epoch
    part      the part in work; ``epoch`` counts its finished epochs
    tensors   the part's weights (``weights/<name>``) and moments (``optimizer/<i>/<key>``),
               the average and the hook's
    """

    identity: Identity
    finished: dict[str, Array] = field(default_factory=dict)
    kept: dict[str, Array] = field(default_factory=dict)
    curves: dict[str, list[Row]] = field(default_factory=dict)
    part: str = ""
    epoch: int = 0
    tensors: dict[str, Array] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Replace the file at ``path``."""
        from safetensors.numpy import save

        header = {
            "schema": SCHEMA,
            "identity": to_json(self.identity),
            "curves": self.curves,
            "part": self.part,
            "epoch": self.epoch,
        }
        finished = {f"finished/{part}": values for part, values in self.finished.items()}
        others = {f"kept/{name}": values for name, values in self.kept.items()}
        kept = {**finished, **others, **self.tensors}
        tensors = {name: np.asarray(value, order="C") for name, value in kept.items()}
        write_bytes(path, save(tensors, {KEY: canonical_json(header)}))

    def start(self, part: str) -> None:
        """Begin ``part``, unless it is the one that was in work when the run stopped."""
        if self.part != part:
            self.part, self.epoch, self.tensors, self.curves[part] = part, 0, {}, []

    def finish(self, part: str, values: Array) -> None:
        """Keep the outputs of ``part`` and forget its weights."""
        self.finished[part] = values
        self.part, self.epoch, self.tensors = "", 0, {}


def load_state(path: Path, identity: Identity) -> tuple[TrainState, list[str]]:
    """The state at ``path``, or a new one; and what differs from where it was written.

    Raises `CheckpointError` when it belongs to another recipe, other data or a newer tinyml.
    """
    if not path.is_file():
        return TrainState(identity), []
    metadata, tensors = read_safetensors(path)
    what = f"{path} is not a training state"
    if KEY not in metadata:
        raise CheckpointError(what)
    data = parse_json(metadata[KEY], what=what, error=CheckpointError)
    _check_schema(path, data)
    header = from_json(StateHeader, data, what=what, error=CheckpointError)
    found = header.identity
    _check_same_run(path, found, identity)
    state = TrainState(
        identity=identity,
        finished=_below("finished/", tensors),
        kept=_below("kept/", tensors),
        curves=header.curves,
        part=header.part,
        epoch=header.epoch,
        tensors={n: v for n, v in tensors.items() if not n.startswith(("finished/", "kept/"))},
    )
    return state, _differences(found, identity)


def _check_schema(path: Path, data: Any) -> None:
    schema = data.get("schema") if isinstance(data, dict) else None
    if type(schema) is not int or schema > SCHEMA:
        raise CheckpointError(
            f"{path} has training state schema {schema}, this tinyml reads up to {SCHEMA}",
            hint="upgrade tinyml",
        )


def _below(prefix: str, tensors: Mapping[str, Array]) -> dict[str, Array]:
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def _check_same_run(path: Path, found: Identity, wanted: Identity) -> None:
    for name, what in (("job", "job"), ("recipe", "recipe"), ("data_sha256", "data")):
        if getattr(found, name) != getattr(wanted, name):
            raise CheckpointError(
                f"{path} belongs to another {what}: "
                f"{getattr(found, name)[:16]}, not {getattr(wanted, name)[:16]}",
                hint="choose another --out, or delete that file to start over",
            )


def _differences(found: Identity, wanted: Identity) -> list[str]:
    pairs: Mapping[str, tuple[Any, Any]] = {
        "threads": (found.threads, wanted.threads),
        "instruction set": (found.instruction_set, wanted.instruction_set),
    }
    return [f"{name} was {old}, is {new}" for name, (old, new) in pairs.items() if old != new]
