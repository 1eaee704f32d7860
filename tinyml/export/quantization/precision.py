"""A precision as an object that declares everything the rest of the code asks about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tinyml.core import registry
from tinyml.core.plan_record import ValueType
from tinyml.core.tolerance import PolicyName

# Where the ranges of quantized activations come from.
Ranges = Literal["none", "calibration", "each call"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """One precision; `tinyml.export.quantization.precisions` has a file for each.

    name                as users type it
    policy              tolerance that its files are judged by
    weights             type that weights are stored in
    activations         type of the values between layers, where the format has kernels for it
    ranges              where the ranges of quantized activations come from
    quantizers          format -> settings of that format's quantizer; other formats do not have
                        this precision, unless it is float32
    one_scale           formats whose quantizer has one scale for all of a weight
    minimum_runtimes    format -> the oldest runtime, where it is newer than that of float32 files
    notes               format -> what measurement shows of such files, one line
    float_io            why inputs and outputs stay float32; empty: they can be int8
    fixed_biases        why biases and rounding cannot follow samples; empty: they can
    quantization_aware  whether it is for weights alone that training has adapted to rounding
    """

    name: str
    policy: PolicyName
    weights: ValueType
    activations: ValueType
    quantizers: Mapping[str, Mapping[str, Any]]
    ranges: Ranges = "none"
    one_scale: tuple[str, ...] = ()
    minimum_runtimes: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    float_io: str = ""
    fixed_biases: str = ""
    quantization_aware: bool = False

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats that can be written in this precision; float32 in each."""
        return tuple(registry.FORMATS if self.weights == "float32" else self.quantizers)

    @property
    def quantized(self) -> bool:
        """Whether weights, and perhaps activations, become integers."""
        return self.weights == "int8"

    @property
    def half(self) -> bool:
        """Whether weights become float16."""
        return self.weights == "float16"

    @property
    def planned(self) -> bool:
        """Whether a plan is performed on a float32 file."""
        return self.quantized or self.half

    @property
    def weights_only(self) -> bool:
        """Whether weights are quantized and activations stay float32."""
        return self.quantized and self.activations == "float32"

    @property
    def calibrated(self) -> bool:
        """Whether activations have ranges that are chosen on samples."""
        return self.ranges == "calibration"

    @property
    def dynamic(self) -> bool:
        """Whether activations get their range anew at each call."""
        return self.ranges == "each call"

    def activation_types(self, fmt: str) -> tuple[ValueType, ...]:
        """What activations of a file of ``fmt`` can be, in float32 where they stay so."""
        settings = self.quantizers.get(fmt, {})
        return tuple(settings.get("activation_types", (self.activations,)))

    def activations_in(self, fmt: str, io: str, *, x86: bool) -> ValueType:
        """Type of the activations of a file of ``fmt`` whose inputs and outputs are ``io``.

        Those of a quantized ``io``; else the first of `activation_types`, but the last on ``x86``,
        whose kernels take unsigned activations: OpenVINO computes signed ones in float32 on AMX.
        """
        known = self.activation_types(fmt)
        return next((own for own in known if own == io), known[-1 if x86 else 0])

    @property
    def io(self) -> tuple[str, ...]:
        """What inputs and outputs can be, in any format."""
        known = [own for fmt in self.quantizers for own in self.activation_types(fmt)]
        return ("float",) if self.float_io else ("float", *dict.fromkeys(known))


def find_precision(name: str) -> Precision:
    """The precision registered as ``name``; `UsageError` with a suggestion if there is none."""
    found: Precision = registry.load("precision", name)
    return found


def all_precisions() -> tuple[Precision, ...]:
    """Every registered precision, in the registry's order."""
    return tuple(find_precision(name) for name in registry.PRECISIONS)
