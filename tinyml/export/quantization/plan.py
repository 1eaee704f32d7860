"""Which tensors of a file become integers, over which range, and why: decided before it is done."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyml.core.errors import ExportError
from tinyml.core.export_settings import ADAPTIVE
from tinyml.core.files import write_json
from tinyml.core.plan_record import NO_RANGES, QuantRecord, TensorPlan, ValueType
from tinyml.core.spec import Array
from tinyml.core.typed_json import read_json, to_json
from tinyml.export.quantization.integer_kernels import excluded
from tinyml.export.quantization.precision import find_precision
from tinyml.export.quantization.ranges import Range
from tinyml.export.quantization.weight_rounding import load_adapted
from tinyml.modelfile.graph import Operator

SEEN = "seen in calibration"
EACH_CALL = "its range is found at each call"
A_WEIGHT = "a weight: its scales are its largest values"
NO_WEIGHT = "no weight: those alone are rounded"
# Instead of a method of ranges.
NEW_RANGES = "each call"
NO_RANGE = "no float: it was not seen in calibration"


@dataclass(frozen=True, slots=True)
class QuantPlan(QuantRecord):
    """A plan for one file, with what performing it needs."""

    @property
    def quantized(self) -> dict[str, Range]:
        """Tensors that become integers of a fixed range, with it."""
        if not self.samples:
            return {}
        return {n: Range(t.low, t.high) for n, t in self.tensors.items() if t.scheme != "float32"}

    @property
    def activations(self) -> ValueType:
        """Type of the activations that become integers."""
        usual = find_precision(self.precision).activations
        return next((t.scheme for t in self.tensors.values() if t.scheme != "float32"), usual)

    @property
    def shifts(self) -> dict[str, Array]:
        """Layer, by its output -> [channels] float32, for those that become integers."""
        own = {name: text for name, text in self.bias_shifts.items() if name not in self.kept}
        return {name: np.frombuffer(b64decode(text), "<f4") for name, text in own.items()}

    @property
    def passes(self) -> dict[str, int]:
        """For a file's facts: what is done to it before it becomes integers, with counts."""
        if not self.shifts:
            return {}
        adapted = {"adapt_weights": len(self.shifts)} if self.rounding == ADAPTIVE else {}
        return {**adapted, "correct_biases": len(self.shifts)}

    def adapted(self, path: Path) -> dict[str, Array]:
        """Layer, by its output -> its adapted weight; next to the float32 file ``path``."""
        if self.rounding != ADAPTIVE:
            return {}
        return {name: own for name, own in load_adapted(path).items() if name in self.shifts}

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, to_json(self))

    def lines(self) -> list[str]:
        """For a person: how much becomes integer, what stays and why."""
        reasons = Counter(self.kept.values())
        return [
            f"{self.precision} {self.format}: {self.summary()}",
            *(f"  {count} of them stay in float32: {why}" for why, count in reasons.items()),
            *(
                [f"  {len(self.shifts)} weights rounded by what their layer gives"]
                if self.rounding == ADAPTIVE
                else []
            ),
            *([f"  {len(self.shifts)} biases corrected"] if self.shifts else []),
        ]

    def summary(self) -> str:
        """How much becomes integer, in one line."""
        if self.ranges == NO_RANGES:
            weights = sum(own.scheme == "int8" for own in self.tensors.values())
            return f"{weights} weights in int8, every activation in float32"
        chosen = f"ranges by {self.ranges} of {self.samples} samples ({self.data})"
        return (
            f"{self.operations - len(self.kept)} of {self.operations} operations quantized, "
            f"{chosen if self.samples else 'ranges taken anew at each call'}"
        )


def packed(shift: Array) -> str:
    """float32, little-endian, in base64: a manifest holds thousands of them."""
    return b64encode(shift.astype("<f4").tobytes()).decode()


def load(path: Path) -> QuantPlan:
    """Read what `QuantPlan.save` wrote."""
    return read_json(QuantPlan, path)


def plan_tensors(
    operators: Sequence[Operator],
    ranges: Mapping[str, Range],
    kept: Mapping[str, str],
    *,
    reason: str = SEEN,
    scheme: ValueType = "int8",
) -> dict[str, TensorPlan]:
    """Every tensor that operators compute or read; ``scheme`` where one that is not kept does.

    What has no integer kernel counts as not kept: its neighbours, or `quantize_io`, read integers.
    ``reason``: where the ranges come from. Raises `ExportError` when nothing is left to
    quantize.
    """
    told = excluded(kept)
    free = [operator for operator in operators if operator.name not in told]
    integer = {name for operator in free for name in (*operator.inputs, *operator.outputs)}
    named = {n: None for operator in operators for n in (*operator.inputs, *operator.outputs)}
    made = {out: kept.get(op.name, NO_RANGE) for op in operators for out in op.outputs}
    plans = {
        name: TensorPlan(scheme, ranges[name].low, ranges[name].high, reason)
        if name in integer and name in ranges
        else TensorPlan("float32", 0.0, 0.0, made.get(name, "an input of what stays in float32"))
        for name in named
    }
    _check_some(plans)
    return plans


def plan_weights(operators: Sequence[Operator], kept: Mapping[str, str]) -> dict[str, TensorPlan]:
    """As `plan_tensors` for weights alone: int8 where an operator that is not kept reads one."""
    named = {n: None for operator in operators for n in (*operator.inputs, *operator.outputs)}
    made = {out: kept.get(op.name, NO_WEIGHT) for op in operators for out in op.outputs}
    plans = {name: TensorPlan("float32", 0.0, 0.0, made.get(name, NO_WEIGHT)) for name in named}
    weights = {op.weight: None for op in operators if op.weight and op.name not in kept}
    plans |= {name: TensorPlan("int8", 0.0, 0.0, A_WEIGHT) for name in weights}
    _check_some(plans)
    return plans


def _check_some(plans: Mapping[str, TensorPlan]) -> None:
    if all(plan.scheme == "float32" for plan in plans.values()):
        raise ExportError(
            "there is no operator to quantize", hint="choose `precision=fp32` or `precision=fp16`"
        )
