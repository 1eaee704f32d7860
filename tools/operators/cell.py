"""A cell of the table: one operator in one format and precision, exported as a user would."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinyml.core.bundle import Bundle
from tinyml.core.errors import InputError, TinymlError, UsageError, ValidationError
from tinyml.core.plan_record import Float16Record, QuantRecord
from tinyml.core.typed_json import read_json
from tinyml.export.quantization.joins import MOVERS
from tinyml.export.quantization.precision import find_precision
from tinyml.modelfile.read import read_graph

# Of the table, from left to right.
FORMATS = ("onnx", "tflite")
PRECISIONS = ("fp32", "fp16", "w8a8-static", "w8-dynamic", "w8")
# The operator's submodule in every network.
LAYER = "layer"

Outcome = Literal["works", "float", "refused", "diverges", "crash"]
# A cell that must not be: each is an error of this package.
FAULTS: tuple[Outcome, ...] = ("diverges", "crash")


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of one export.

    outcome  ``works``; ``float``: it works, and the operator computes in float; ``refused``;
             ``diverges``: the parity gate; ``crash``: anything else that ends it
    reason   of all but ``works``: one line; ``hint``: the error's
    key      of what it depends on (`operators.store.key_of`)
    commit   of the sources; ``+`` behind it where they were changed since
    """

    row: str
    format: str
    precision: str
    outcome: Outcome
    reason: str = ""
    hint: str = ""
    seconds: float = 0.0
    key: str = ""
    commit: str = ""

    @property
    def file(self) -> str:
        return f"{self.row}.{self.format}.{self.precision}.json"


def load(path: Path) -> Cell:
    return read_json(Cell, path)


@dataclass(frozen=True, slots=True)
class Ended:
    """How an export ended; ``error`` is ``None`` where it made ``bundle``."""

    bundle: Bundle | None
    error: BaseException | None
    seconds: float


def outcome_of(ended: Ended) -> tuple[Outcome, str, str]:
    """The outcome, its reason and the hint."""
    error = ended.error
    if error is None:
        assert ended.bundle is not None
        why = float_reason(ended.bundle)
        return ("float", why, "") if why else ("works", "", "")
    if isinstance(error, ValidationError):
        return "diverges", error.message, error.hint
    if isinstance(error, InputError | UsageError) and not _is_internal(error):
        return "refused", error.message, error.hint
    lines = traceback.format_exception_only(error)
    text = error.message if isinstance(error, TinymlError) else lines[-1].strip()
    return "crash", text, _last_place(error)


def _is_internal(error: TinymlError) -> bool:
    """Whether the message is that of a step that failed, and names its module."""
    return bool(error.child) and f"{error.child} " in error.message


def _last_place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def float_reason(bundle: Bundle) -> str:
    """Why the operator of the bundle's one file stays in float32; empty where it does not.

    Moves of values count for nothing. Where ranges are found at each call, a layer is quantized
    if one of its products is.
    """
    (model,) = bundle.models
    plan = model.plan
    if isinstance(plan, Float16Record):
        inside = [why for name, why in plan.kept.items() if _in_layer(plan.stages.get(name, ""))]
        return inside[0] if inside else ""
    if not isinstance(plan, QuantRecord):
        return ""
    graph = read_graph(bundle.file(model), infer_shapes=False)
    shown = {name for stage, name in model.stages.items() if name and _in_layer(stage)}
    own = {name for name, place in model.modules.items() if _in_layer(place)}
    own |= {graph.before(name, MOVERS) for name in shown}
    if find_precision(plan.precision).dynamic and own - plan.kept.keys():
        return ""
    moves = {made for op in graph.operators if op.op in MOVERS for made in op.outputs}
    kept = [why for name, why in plan.kept.items() if name in own - moves]
    return kept[0] if kept else ""


def _in_layer(place: str) -> bool:
    return place.partition(".")[0] == LAYER


def timed(started: float) -> float:
    return round(time.monotonic() - started, 2)
