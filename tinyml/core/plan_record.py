"""What a precision decided for one model file, as the manifest records it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tinyml.core.export_settings import NEAREST
from tinyml.core.typed_json import Variants

# Instead of a method of ranges: weights alone are integers.
NO_RANGES = "none"
# Instead of a case: the value is one of the network's own.
CONSTANT = "constant"
ValueType = Literal["float32", "float16", "int8", "uint8", "int16"]


class PlanRecord(Variants):
    """Base of `QuantRecord` and `Float16Record`; JSON tells them by the key ``ranges``."""

    __slots__ = ()

    @classmethod
    def variant(cls, data: Mapping[str, Any]) -> type[Any]:
        return QuantRecord if "ranges" in data else Float16Record

    @property
    def in_float32(self) -> str:
        """How much stays so, in words."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """One tensor; ``low`` and ``high`` are what its integers span.

    Unused in float32 and of weights, whose channels span each their own.
    """

    scheme: ValueType
    low: float
    high: float
    reason: str


@dataclass(frozen=True, slots=True)
class QuantRecord(PlanRecord):
    """A plan for one file, keyed by that file's tensors.

    ranges     the method that chose them, ``each call``, or ``none``: weights alone are
               integers, and those that are stand among ``tensors``
    samples    how many were looked at; ``data``: of what
    tensors    what is computed, by name
    operations how many operators the file has
    kept       operator, by its first output -> why it stays in float32
    stages     stage -> its tensor, as in the float file
    exact      stages that no integer has a part in
    io         ``int8``, ``uint8``: inputs and outputs are such integers too, ``float``: they
               stay float32
    instructions, threads  where the samples were run: others may round ranges otherwise
    weight_scales  ``per-channel``, or ``per-tensor``: one scale for all of a weight
    bias_shifts  layer, by its output -> what is taken from its bias, as `packed`
    rounding   of weights: ``nearest``, or ``adaptive`` in the layers of ``bias_shifts``
    """

    precision: str
    format: str
    ranges: str
    samples: int
    data: str
    tensors: Mapping[str, TensorPlan] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    operations: int = 0
    stages: Mapping[str, str | None] = field(default_factory=dict)
    exact: tuple[str, ...] = ()
    io: str = "float"
    instructions: str = ""
    threads: int = 0
    weight_scales: str = "per-channel"
    bias_shifts: Mapping[str, str] = field(default_factory=dict)
    rounding: str = NEAREST

    @property
    def in_float32(self) -> str:
        if self.ranges == NO_RANGES:
            return "only weights are quantized, every operation computes in float32"
        return f"{len(self.kept)} of {self.operations} operations stay in float32"


@dataclass(frozen=True, slots=True)
class UnheldValue:
    """A value that the precision cannot hold.

    case      the sample on which ``node`` computes it; ``constant``: one that ``node`` takes
    value     the largest that overflows, or the smallest that underflows
    harmless  an underflow next to values that it vanishes against
    """

    kind: Literal["overflow", "underflow"]
    stage: str
    node: str
    case: str
    value: float
    harmless: bool = False

    def __str__(self) -> str:
        on = "a constant" if self.case == CONSTANT else f"on '{self.case}'"
        where = f" in {self.stage}" if self.stage else ""
        return f"{self.kind}{where} at {self.node}: {self.value:.3g}, {on}"


@dataclass(frozen=True, slots=True)
class Float16Record(PlanRecord):
    """A plan for one file. Nodes are the captured program's, by name.

    kept        node -> why it stays in float32
    stages      node -> the innermost stage that it is part of, for those in ``kept``
    operations  how many nodes there are to choose from
    not_judged  generated cases that float16 cannot hold, and that would leave nothing to cast
    """

    precision: str
    format: str
    operations: int = 0
    kept: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[UnheldValue, ...] = ()
    not_judged: tuple[str, ...] = ()

    @property
    def in_float32(self) -> str:
        return f"{len(self.kept)} of {self.operations} operations stay in float32"
