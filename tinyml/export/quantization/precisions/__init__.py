"""Precisions: each plans first and performs second, one module a precision.

Of floats (`Precision`): `plan` looks at the captured program and the samples and decides;
it changes nothing. The writers perform: the plan's precision says which of their passes
run. A `PrecisionPlan` is all that passes between the two.

Of integers (`IntegerPrecision`): a float32 file is written first, a `QuantPlan` is made from
what its tensors take on samples, and the format's ``quantize`` performs it on the file. The
modules hold what the two quantizers are to do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

from tinyml.core import registry
from tinyml.core.spec import Arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinyml.export.capture.program import Captured
    from tinyml.export.quantization.fp16_plan import PrecisionPlan
    from tinyml.export.quantization.plan import Scheme

    Cases = Mapping[str, Arrays]


class Precision(Protocol):
    """What a module of this folder offers."""

    NOTES: Mapping[str, str]

    def plan(
        self, captured: Captured, fmt: str, inputs: Cases, stages: Cases, outputs: Cases
    ) -> PrecisionPlan:
        """Decide for one format, from PyTorch's inputs, stages and outputs by case."""

    def perform_onnx(self, model: Any, plan: PrecisionPlan, made: Mapping[str, Any]) -> int:
        """Change the ``onnx_ir.Model``, names settled; ``made``: captured node -> its values."""

    def perform_tflite(self, model: Any, plan: PrecisionPlan, made: Mapping[str, Any]) -> Any:
        """(model, count); ``made``: captured node -> the tensors it had a part in."""


class IntegerPrecision(Protocol):
    """What a module of this folder offers when it is in `tinyml.core.registry.INTEGER`.

    CALIBRATED    whether activations have ranges that are chosen from samples
    WEIGHTS_ONLY  whether activations stay float32
    ACTIVATIONS   what they are otherwise
    TFLITE        ai-edge-quantizer's operator configuration
    ONNX          onnxruntime's type of activations, and whether they are symmetric
    """

    NOTES: Mapping[str, str]
    CALIBRATED: bool
    WEIGHTS_ONLY: bool
    ACTIVATIONS: Scheme
    TFLITE: Mapping[str, Any]
    ONNX: tuple[str, bool]


def integers_of(name: str) -> IntegerPrecision:
    """The module of the integer precision ``name``."""
    return cast(IntegerPrecision, _module(name))


def of(name: str) -> Precision:
    """The module of the precision of floats ``name``."""
    return cast(Precision, _module(name))


def _module(name: str) -> object:
    return importlib.import_module(registry.PRECISIONS[name])
